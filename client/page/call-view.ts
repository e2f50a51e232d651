/** The call: main picture, thumbnails, own picture. What is said of people comes from tiles.ts. */
import { audioSlotMids } from '../../tunnel-protocol/index.ts';
import { inviteLink } from '../page-model/link.ts';
import { describeTile, layOut } from '../page-model/tiles.ts';
import type { Tile } from '../page-model/tiles.ts';
import type { BrowserCall } from './browser-call.ts';
import { announce, clearNotice, notify } from './notices.ts';
import { byId, element, setText } from './dom.ts';
import { TileView } from './tile-view.ts';

const levelIntervalMs = 200;
/** Audio level, 0–1, above which somebody counts as speaking: about −40 dBFS. */
const speakingLevel = 0.01;
const copiedForMs = 2_500;

export interface SelfContent {
  readonly track: MediaStreamTrack | null;
  readonly mirrored: boolean;
  readonly microphone: 'on' | 'muted' | 'none';
}

interface Thumbnail {
  readonly item: HTMLLIElement;
  readonly button: HTMLButtonElement;
  readonly view: TileView;
  participant: string;
}

export class CallView {
  readonly #call: BrowserCall;
  readonly #main = new TileView(byId('main-tile', HTMLDivElement));
  readonly #self = new TileView(byId('self-tile', HTMLDivElement));
  readonly #rail = byId('rail', HTMLUListElement);
  readonly #others = element('li', { className: 'others' });
  readonly #thumbnails = new Map<string, Thumbnail>();
  readonly #sound = byId('sound', HTMLDivElement);
  readonly #invite = byId('invite', HTMLButtonElement);
  readonly #unpin = byId('unpin', HTMLButtonElement);
  readonly #cleanUp: (() => void)[] = [];
  #pinned: string | null = null;

  constructor(call: BrowserCall, room: string) {
    this.#call = call;
    document.body.dataset['view'] = 'call';
    document.title = `${room} · Sallyport`;
    setText(byId('room-title', HTMLSpanElement), room);
    const link = inviteLink(location.href, room);
    setText(byId('waiting-link', HTMLElement), link);
    this.#invite.onclick = () => void this.#copy(link);
    this.#unpin.onclick = () => void this.#pin(null);
    const layOutAgain = (): void => {
      this.#layOut();
    };
    this.#cleanUp.push(
      call.on('slots', layOutAgain),
      call.on('participant-updated', layOutAgain),
      call.on('participant-joined', ({ name }) => {
        this.#layOut();
        announce(`${name} joined.`);
      }),
      call.on('recording', ({ active }) => {
        announce(active ? 'This room is being recorded.' : 'The recording has ended.');
        this.#showRecording();
      }),
      call.on('participant-left', ({ id, name }) => {
        if (this.#pinned === id) this.#pinned = null;
        this.#layOut();
        announce(`${name} left.`);
      }),
    );
    this.#cleanUp.push(
      call.on('track', (event) => {
        if (event.kind === 'audio') this.#replaceSound(event.mid, event.track);
        else this.#layOut();
      }),
    );
    this.#playSound();
    this.#showRecording();
    const timer = setInterval(() => {
      this.#showSpeakers();
    }, levelIntervalMs);
    this.#cleanUp.push(() => {
      clearInterval(timer);
    });
    this.#layOut();
    byId('call', HTMLElement).focus({ preventScroll: true });
  }

  showSelf({ track, mirrored, microphone }: SelfContent): void {
    const { name } = this.#call.self;
    this.#self.show({ name, label: 'You', track, microphone, mirrored });
    this.#self.element.ariaLabel = `You, ${track === null ? 'camera off' : 'camera on'}${microphone === 'on' ? '' : ', muted'}`;
  }

  close(): void {
    for (const clean of this.#cleanUp.splice(0)) clean();
    for (const { view } of this.#thumbnails.values()) view.close();
    this.#main.close();
    this.#self.close();
    this.#rail.replaceChildren();
    this.#sound.replaceChildren();
  }

  #showRecording(): void {
    byId('recording', HTMLSpanElement).hidden = !this.#call.recording;
  }

  #layOut(): void {
    const { main, thumbnails, hidden } = layOut(this.#call.participants, this.#call.slots);
    const count = this.#call.participants.length + 1;
    setText(byId('people', HTMLSpanElement), String(count));
    setText(byId('people-word', HTMLSpanElement), count === 1 ? 'person' : 'people');
    byId('waiting', HTMLDivElement).hidden = main !== null;
    this.#main.element.hidden = main === null;
    this.#unpin.hidden = this.#pinned === null || this.#pinned !== main?.participant.id;
    if (main === null) this.#main.close();
    else {
      this.#fill(this.#main, main);
      this.#main.element.ariaLabel = describeTile(main);
    }
    this.#fillRail(thumbnails);
    setText(this.#others, `and ${String(hidden)} more`);
    if (hidden > 0) this.#rail.append(this.#others);
    else this.#others.remove();
  }

  #fillRail(tiles: readonly Tile[]): void {
    const keys = new Set(tiles.map(({ key }) => key));
    for (const [key, thumbnail] of this.#thumbnails) {
      if (keys.has(key)) continue;
      thumbnail.view.close();
      thumbnail.item.remove();
      this.#thumbnails.delete(key);
    }
    tiles.forEach((tile, index) => {
      const thumbnail = this.#thumbnails.get(tile.key) ?? this.#addThumbnail(tile.key);
      thumbnail.participant = tile.participant.id;
      this.#fill(thumbnail.view, tile);
      thumbnail.button.ariaLabel = `${describeTile(tile)}. Show as main picture`;
      // Moving an element that stands right already would take the focus from it.
      if (this.#rail.children[index] !== thumbnail.item) {
        this.#rail.insertBefore(thumbnail.item, this.#rail.children[index] ?? null);
      }
    });
  }

  #addThumbnail(key: string): Thumbnail {
    const button = element('button', { className: 'tile' });
    button.type = 'button';
    const item = element('li', {}, button);
    const thumbnail: Thumbnail = { item, button, view: new TileView(button), participant: '' };
    button.onclick = () => void this.#pin(thumbnail.participant);
    this.#thumbnails.set(key, thumbnail);
    return thumbnail;
  }

  #fill(view: TileView, tile: Tile): void {
    const { participant, mid, source, cameraMuted, microphone } = tile;
    const slot = this.#call.tracks.find((one) => one.mid === mid);
    view.element.dataset['participant'] = participant.id;
    view.element.dataset['source'] = source ?? 'none';
    view.show({
      name: participant.name,
      label: source === 'screen' ? `${participant.name}’s screen` : participant.name,
      track: cameraMuted ? null : (slot?.track ?? null),
      microphone,
      scene: tile.key,
    });
  }

  /** Null lets the server choose again. */
  async #pin(participant: string | null): Promise<void> {
    const before = this.#pinned;
    this.#pinned = participant;
    try {
      await this.#call.subscribe({ main: participant });
    } catch {
      this.#pinned = before;
      notify({ title: 'The main picture could not be changed.', advice: 'Try again in a moment.' }, { forMs: 5_000 });
    }
    this.#layOut();
  }

  #playSound(): void {
    for (const { track, mid, kind } of this.#call.tracks) {
      if (kind !== 'audio') continue;
      const audio = element('audio');
      audio.autoplay = true;
      audio.dataset['mid'] = mid;
      audio.srcObject = new MediaStream([track]);
      this.#sound.append(audio);
    }
    void this.#startSound();
  }

  /** Another way brings the slot's sound: the element plays what comes now. */
  #replaceSound(mid: string, track: MediaStreamTrack): void {
    const audio = this.#sound.querySelector<HTMLAudioElement>(`audio[data-mid="${mid}"]`);
    const playing = audio?.srcObject instanceof MediaStream ? audio.srcObject.getAudioTracks()[0] : undefined;
    if (audio === null || playing === track) return;
    audio.srcObject = new MediaStream([track]);
    audio.play().catch(() => undefined);
  }

  /** Browsers refuse sound to a page that nobody has clicked on and that does not record: then a click is asked for. */
  async #startSound(): Promise<void> {
    const plays = [...this.#sound.querySelectorAll('audio')].map((audio) => audio.play());
    const results = await Promise.allSettled(plays);
    const refused = results.some(({ status, ...rest }) => {
      const reason: unknown = 'reason' in rest ? rest.reason : undefined;
      return status === 'rejected' && reason instanceof DOMException && reason.name === 'NotAllowedError';
    });
    clearNotice('sound');
    if (!refused || this.#cleanUp.length === 0) return;
    notify(
      { title: 'You cannot hear the others yet.', advice: 'The browser wants a click first.' },
      { key: 'sound', tone: 'warning', action: { label: 'Turn sound on', run: () => void this.#startSound() } },
    );
  }

  #showSpeakers(): void {
    const speaking = new Set<string>();
    for (const mid of audioSlotMids) {
      const participant = this.#call.slots.find((slot) => slot.mid === mid)?.participant ?? null;
      if (participant !== null && this.#call.audioLevel(mid) > speakingLevel) speaking.add(participant);
    }
    for (const { participant, view } of this.#thumbnails.values()) view.speaking(speaking.has(participant));
  }

  async #copy(link: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(link);
      const label = byId('invite-label', HTMLSpanElement);
      setText(label, 'Copied');
      announce('The invitation link is in the clipboard.');
      setTimeout(() => {
        setText(label, 'Copy invitation');
      }, copiedForMs);
    } catch {
      notify({ title: 'This is the link to the room:', advice: link }, { key: 'invite' });
    }
  }
}
