/** Messages above the page: what happened, what to do, and sometimes a button that does it. */
import type { Words } from '../page-model/words.ts';
import { byId, element, icon } from './dom.ts';

export interface NoticeOptions {
  readonly tone?: 'plain' | 'warning' | 'danger';
  readonly action?: { readonly label: string; readonly run: () => void };
  /** Ms until it goes by itself; it stays if absent. */
  readonly forMs?: number;
  /** A notice with the same key is replaced. */
  readonly key?: string;
}

/** Returns what takes the notice away. */
export function notify(words: Words, options: NoticeOptions = {}): () => void {
  const { tone = 'plain', action, forMs, key = words.title } = options;
  clearNotice(key);
  const text = element('p', {}, element('strong', { textContent: words.title }));
  if (words.advice !== '') text.append(element('span', { className: 'advice', textContent: words.advice }));
  const notice = element('div', { className: 'notice' }, text);
  notice.dataset['key'] = key;
  notice.dataset['tone'] = tone;
  if (tone === 'danger') notice.setAttribute('role', 'alert');

  let timer: number | undefined;
  const remove = (): void => {
    clearTimeout(timer);
    notice.remove();
  };
  if (action !== undefined) {
    const button = element('button', { className: 'quiet action', textContent: action.label });
    button.type = 'button';
    button.onclick = () => {
      remove();
      action.run();
    };
    notice.append(button);
  }
  const dismiss = element('button', { className: 'dismiss' }, icon('close'));
  dismiss.type = 'button';
  dismiss.ariaLabel = 'Dismiss this message';
  dismiss.onclick = remove;
  notice.append(dismiss);
  if (forMs !== undefined) timer = setTimeout(remove, forMs);
  byId('notices', HTMLDivElement).append(notice);
  return remove;
}

export function clearNotice(key: string): void {
  for (const notice of shown()) if (notice.dataset['key'] === key) notice.remove();
}

export function clearNotices(): void {
  for (const notice of shown()) notice.remove();
}

/** What is shown is known by the page alone: each of its parts has a copy of this module. */
function shown(): readonly HTMLElement[] {
  return [...byId('notices', HTMLDivElement).children].filter((child) => child instanceof HTMLElement);
}

/** Tells screen readers alone what others see happen. */
export function announce(text: string): void {
  const target = byId('announcements', HTMLDivElement);
  target.replaceChildren(element('p', { textContent: text }));
}
