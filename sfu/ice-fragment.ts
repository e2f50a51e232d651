/**
 * SDP fragments with a client's ICE (RFC 8840 section 9), which WHIP clients send by PATCH. This side is lite and waits for checks, so
 * candidates are looked at and let go; credentials are what counts: new ones restart ICE.
 */
import { isIcePwd, isIceUfrag, shown } from './sdp-reading.ts';

const maxFragmentLength = 65_536;
const maxLines = 1024;
const maxLineLength = 1024;

export interface IceFragment {
  /** Null where it has none: then it is about the ICE session that there is. */
  readonly ice: { readonly ufrag: string; readonly pwd: string } | null;
  readonly candidates: number;
  readonly endOfCandidates: boolean;
}

/** RFC 8839 section 5.1: foundation, component, transport, priority, address, port and type. */
const candidateText =
  /^[A-Za-z0-9+/]{1,32} \d{1,5} [A-Za-z0-9-]{1,16} \d{1,10} [\w.:%-]{1,255} \d{1,5} typ [A-Za-z0-9-]{1,16}(?: .*)?$/;

/** Returns a reason where it is malformed; never throws. */
export function readIceFragment(text: string): IceFragment | string {
  if (text.length > maxFragmentLength) return `longer than ${String(maxFragmentLength)} characters`;
  const lines = text.split(/\r\n|\n/).filter((line) => line !== '');
  if (lines.length > maxLines) return `more than ${String(maxLines)} lines`;
  const ufrags = new Set<string>();
  const pwds = new Set<string>();
  let candidates = 0;
  let endOfCandidates = false;
  for (const line of lines) {
    if (line.length > maxLineLength) return `a line is longer than ${String(maxLineLength)} characters`;
    if (!/^(?:a=[^\s:]|m=\w)/.test(line)) return `"${shown(line)}" is no line of an SDP fragment`;
    const [name = '', value = ''] = splitAttribute(line);
    if (name === 'ice-ufrag') ufrags.add(value);
    else if (name === 'ice-pwd') pwds.add(value);
    else if (name === 'end-of-candidates') endOfCandidates = true;
    else if (name === 'candidate') {
      if (!candidateText.test(value)) return `"${shown(value)}" is no candidate`;
      candidates++;
    }
  }
  const [ufrag, ...moreUfrags] = ufrags;
  const [pwd, ...morePwds] = pwds;
  if (moreUfrags.length + morePwds.length > 0) return 'it has credentials of several ICE sessions';
  if (ufrag === undefined && pwd === undefined) {
    if (candidates === 0 && !endOfCandidates) return 'there is nothing about ICE in it';
    return { ice: null, candidates, endOfCandidates };
  }
  if (ufrag === undefined || !isIceUfrag(ufrag)) return 'it has no valid ice-ufrag';
  if (pwd === undefined || !isIcePwd(pwd)) return 'it has no valid ice-pwd';
  return { ice: { ufrag, pwd }, candidates, endOfCandidates };
}

function splitAttribute(line: string): readonly string[] {
  const at = line.indexOf(':');
  return at < 0 ? [line.slice(2)] : [line.slice(2, at), line.slice(at + 1)];
}
