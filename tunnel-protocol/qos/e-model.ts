/**
 * The E-model: ITU-T Recommendation G.107 (06/2015), a computational model for use in transmission planning. Names are the
 * recommendation's; equation numbers are given where a result is computed. Narrowband: R is 0–100.
 */

/** Table 2 of G.107: what every parameter is where nothing better is known. */
export const eModelDefaults = {
  /** Send loudness rating, dB. */
  SLR: 8,
  /** Receive loudness rating, dB. */
  RLR: 2,
  /** Sidetone masking rating, dB. */
  STMR: 15,
  /** D-value of the telephone, send side. */
  Ds: 3,
  /** D-value of the telephone, receive side. */
  Dr: 3,
  /** Talker echo loudness rating, dB. */
  TELR: 65,
  /** Weighted echo path loss, dB. */
  WEPL: 110,
  /** Mean one-way delay of the echo path, ms. */
  T: 0,
  /** Round-trip delay in a closed four-wire loop, ms. */
  Tr: 0,
  /** Absolute delay in echo-free connections, ms. */
  Ta: 0,
  /** Delay sensitivity of the use. */
  sT: 1,
  /** Minimum perceivable delay, ms. */
  mT: 100,
  /** Quantization distortion units. */
  qdu: 1,
  /** Equipment impairment of the codec. */
  Ie: 0,
  /** Packet-loss robustness of the codec. */
  Bpl: 4.3,
  /** Random packet loss, percent. */
  Ppl: 0,
  /** Burst ratio; 1 for random loss. */
  BurstR: 1,
  /** Circuit noise referred to the 0 dBr point, dBm0p. */
  Nc: -70,
  /** Noise floor at the receive side, dBmp. */
  Nfor: -64,
  /** Room noise at the send side, dB(A). */
  Ps: 35,
  /** Room noise at the receive side, dB(A). */
  Pr: 35,
  /** Advantage factor. */
  A: 0,
} as const;

export type EModelParameters = Readonly<Record<keyof typeof eModelDefaults, number>>;

export interface EModelResult {
  readonly R: number;
  /** Basic signal-to-noise ratio. */
  readonly Ro: number;
  /** Simultaneous impairment. */
  readonly Is: number;
  /** Delay impairment: echo of the talker, echo of the listener, and absolute delay. */
  readonly Id: number;
  readonly Idd: number;
  /** Impairment of the codec under loss. */
  readonly IeEff: number;
}

/** Equation 7-1. */
export function eModel(parameters: Partial<EModelParameters> = {}): EModelResult {
  const p = { ...eModelDefaults, ...parameters };
  const No = totalNoise(p);
  // (7-2)
  const Ro = 15 - 1.5 * (p.SLR + No);
  const Ist = sidetoneImpairment(p);
  const Is = loudnessImpairment(p, No) + Ist + quantizationImpairment(p, Ro);
  const Idd = delayImpairment(p.Ta, p.sT, p.mT);
  const Id = talkerEchoImpairment(p, No, Ist) + listenerEchoImpairment(p, Ro) + Idd;
  const IeEff = codecImpairment(p.Ie, p.Bpl, p.Ppl, p.BurstR);
  return { R: Ro - Is - Id - IeEff + p.A, Ro, Is, Id, Idd, IeEff };
}

/** Equations 7-27 and 7-28: what the absolute delay `Ta` (ms) takes from R, whatever the echo. */
export function delayImpairment(Ta: number, sT: number = eModelDefaults.sT, mT: number = eModelDefaults.mT): number {
  if (Ta <= mT) return 0;
  const X = Math.log2(Ta / mT);
  const power = 6 * sT;
  return 25 * ((1 + X ** power) ** (1 / power) - 3 * (1 + (X / 3) ** power) ** (1 / power) + 2);
}

/** Equation 7-29: `Ppl` in percent. */
export function codecImpairment(Ie: number, Bpl: number, Ppl: number, BurstR: number = eModelDefaults.BurstR): number {
  return Ie + (95 - Ie) * (Ppl / (Ppl / BurstR + Bpl));
}

/** Annex B, equation B-4, held to 1–4.5: the cubic dips below 1 for the R of hopeless calls. */
export function mosOfR(R: number): number {
  if (R <= 0) return 1;
  if (R >= 100) return 4.5;
  return Math.max(1, 1 + 0.035 * R + R * (R - 60) * (100 - R) * 7e-6);
}

/** Equations 7-3 to 7-7. */
function totalNoise({ Nc, Ps, SLR, RLR, Ds, Pr, STMR, Dr, Nfor }: EModelParameters): number {
  const OLR = SLR + RLR;
  const Nos = Ps - SLR - Ds - 100 + 0.004 * (Ps - OLR - Ds - 14) ** 2;
  const LSTR = STMR + Dr;
  const Pre = Pr + 10 * Math.log10(1 + 10 ** ((10 - LSTR) / 10));
  const Nor = RLR - 121 + Pre + 0.008 * (Pre - 35) ** 2;
  const Nfo = Nfor + RLR;
  return 10 * Math.log10(10 ** (Nc / 10) + 10 ** (Nos / 10) + 10 ** (Nor / 10) + 10 ** (Nfo / 10));
}

/** Equations 7-9 and 7-10. */
function loudnessImpairment({ SLR, RLR }: EModelParameters, No: number): number {
  const Xolr = SLR + RLR + 0.2 * (64 + No - RLR);
  return 20 * ((1 + (Xolr / 8) ** 8) ** (1 / 8) - Xolr / 8);
}

/** Equations 7-11 and 7-12. */
function sidetoneImpairment({ STMR, T, TELR }: EModelParameters): number {
  const STMRo = -10 * Math.log10(10 ** (-STMR / 10) + Math.exp(-T / 4) * 10 ** (-TELR / 10));
  return (
    12 * (1 + ((STMRo - 13) / 6) ** 8) ** (1 / 8) -
    28 * (1 + ((STMRo + 1) / 19.4) ** 35) ** (1 / 35) -
    13 * (1 + ((STMRo - 3) / 33) ** 13) ** (1 / 13) +
    29
  );
}

/** Equations 7-13 to 7-17. */
function quantizationImpairment({ qdu }: EModelParameters, Ro: number): number {
  const Q = 37 - 15 * Math.log10(qdu);
  const G = 1.07 + 0.258 * Q + 0.0602 * Q ** 2;
  const Y = (Ro - 100) / 15 + 46 / 8.4 - G / 9;
  const Z = 46 / 30 - G / 40;
  return 15 * Math.log10(1 + 10 ** Y + 10 ** Z);
}

/** Equations 7-19 to 7-24. */
function talkerEchoImpairment({ RLR, TELR, T, STMR }: EModelParameters, No: number, Ist: number): number {
  let TERV = TELR - 40 * Math.log10((1 + T / 10) / (1 + T / 150)) + 6 * Math.exp(-0.3 * T ** 2);
  if (STMR < 9) TERV += Ist / 2;
  const Re = 80 + 2.5 * (TERV - 14);
  const Roe = -1.5 * (No - RLR);
  const Idte = ((Roe - Re) / 2 + Math.sqrt((Roe - Re) ** 2 / 4 + 100) - 1) * (1 - Math.exp(-T));
  return STMR > 20 ? Math.sqrt(Idte ** 2 + Ist ** 2) : Idte;
}

/** Equations 7-25 and 7-26. */
function listenerEchoImpairment({ WEPL, Tr }: EModelParameters, Ro: number): number {
  const Rle = 10.5 * (WEPL + 7) * (Tr + 1) ** -0.25;
  return (Ro - Rle) / 2 + Math.sqrt((Ro - Rle) ** 2 / 4 + 169);
}
