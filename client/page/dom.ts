/** Small helpers for the page's own markup. */

/** The element of index.html with this id; a missing or other element is a fault of the page itself. */
export function byId<T extends Element>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return element;
}

export type IconName =
  'microphone' | 'microphone-off' | 'camera' | 'camera-off' | 'screen' | 'leave' | 'link' | 'close';

/** An icon of index.html's sprite, hidden from screen readers: the text beside it, or a label, says the same. */
export function icon(name: IconName): SVGSVGElement {
  const svgNamespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(svgNamespace, 'svg');
  svg.classList.add('icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(svgNamespace, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<Record<'className' | 'textContent', string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Writes only what changed, so that a selection or a screen reader is not disturbed once a second. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
