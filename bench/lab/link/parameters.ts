/** What a link does to the packets of one direction, and its text form on the command line. */

export interface LinkParameters {
  /** One way. */
  readonly delayMs: number;
  /** The delay varies by up to this much, evenly, to either side. */
  readonly jitterMs: number;
  /** Lets jitter change the order of packets; without it a packet waits for the one before. */
  readonly reorder: boolean;
  /** Each packet by itself, 0–100. */
  readonly lossPercent: number;
  /** Of IP packets; null: no limit. */
  readonly kilobitsPerSecond: number | null;
  /** What the direction may hold, waiting and under way; a packet that does not fit is dropped (tail drop). */
  readonly queueBytes: number;
}

/** A short wire: what is left out of a description. */
export const plainLink: LinkParameters = {
  delayMs: 0,
  jitterMs: 0,
  reorder: false,
  lossPercent: 0,
  kilobitsPerSecond: null,
  queueBytes: 1_000_000,
};

const numbers = {
  delay: 'delayMs',
  jitter: 'jitterMs',
  loss: 'lossPercent',
  rate: 'kilobitsPerSecond',
  queue: 'queueBytes',
} as const;

/** `delay=25,jitter=3,loss=2,rate=5000,queue=64000,reorder`: ms, ms, percent, kbit/s, bytes. Throws RangeError. */
export function parseLinkParameters(text: string): LinkParameters {
  const link: { -readonly [Key in keyof LinkParameters]: LinkParameters[Key] } = { ...plainLink };
  for (const part of text.split(',').filter((each) => each !== '')) {
    if (part === 'reorder') {
      link.reorder = true;
      continue;
    }
    const [key = '', value = ''] = part.split('=');
    const number = Number(value);
    if (!Object.hasOwn(numbers, key) || value === '' || !Number.isFinite(number) || number < 0) {
      throw new RangeError(`a link's parameters are ${Object.keys(numbers).join('=, ')}= and reorder, not "${part}"`);
    }
    link[numbers[key as keyof typeof numbers]] = number;
  }
  if (link.lossPercent > 100) throw new RangeError('loss is at most 100 %');
  if (link.kilobitsPerSecond === 0) throw new RangeError('a rate of 0 lets nothing through; use loss=100');
  return link;
}

export function formatLinkParameters(link: LinkParameters): string {
  const parts = Object.entries(numbers).flatMap(([key, field]) => {
    const value = link[field];
    return value === null || value === plainLink[field] ? [] : [`${key}=${String(value)}`];
  });
  return [...parts, ...(link.reorder ? ['reorder'] : [])].join(',');
}
