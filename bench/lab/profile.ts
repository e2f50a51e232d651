/** What describes one network of the lab: a file in profiles/ each. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { StartIntermediary } from './intermediary.ts';
import type { EmulatedLink } from './namespaces.ts';

export const clientKinds = ['chromium', 'node'] as const;
export type ClientKind = (typeof clientKinds)[number];

export interface Profile {
  /** As `--profile` takes it. */
  readonly name: string;
  /** What the network does, in a few words for people. */
  readonly summary: string;
  /** nft(8) ruleset of the company's router, whose devices are `inside` and `outside`; absent: everything passes. */
  readonly firewall?: string;
  /** Delay, loss and rate between the router and the edge; absent: a plain wire. */
  readonly link?: EmulatedLink;
  /** What stands on the router besides the firewall. */
  readonly intermediary?: StartIntermediary;
  /** Programs that this takes, of the Debian packages of the same names. */
  readonly programs?: readonly string[];
  /** Cells that cannot be green so far, with the reason. They are shown, and not run. */
  readonly notYet?: Readonly<Partial<Record<ClientKind, string>>>;
  /** What changes in mid-call. */
  readonly later?: LaterChange;
  /** How long media is watched at least, where what the network does takes its time. */
  readonly watchSeconds?: number;
  /** Nobody gets through here: codes of errors, one of which the client must come to by itself within these seconds. */
  readonly refusal?: { readonly codes: readonly string[]; readonly seconds: number };
  /** The rungs on which media may end here; another one makes the cell red, for something better was missed or leaked. */
  readonly rungs: Readonly<Record<ClientKind, readonly Rung[]>>;
  /** From the call of `join` until media must have flowed both ways. */
  readonly budgetSeconds: number;
}

/** The network changes while the call goes on, and media must move to the profile's rungs by itself. */
export interface LaterChange {
  /** After the call of `join`; media flows by then. */
  readonly seconds: number;
  /** The ruleset from then on. */
  readonly firewall: string;
  /** Where media may be until then. */
  readonly before: Readonly<Record<ClientKind, readonly Rung[]>>;
  /** Within these, media must be on one of the profile's rungs. */
  readonly climbSeconds: number;
  /** The longest time without sound, from when media flowed to the end. */
  readonly mostGapMs: number;
}

export const defaultBudgetSeconds = 45;

/** A ruleset with these rules on what passes the router, in order; what no rule decides on passes. */
export function forwardRules(...rules: readonly string[]): string {
  return `table inet firewall {
  chain forward {
    type filter hook forward priority filter; policy accept;
    ${rules.join('\n    ')}
  }
}`;
}
