/** Whether this machine can hold the lab. */
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

/** Why tests with network namespaces cannot run here, or false. Under CI a missing need is a failure, not a skip. */
export const labMissing: string | false = process.env['CI'] === 'true' ? false : missingNeed();

/** The first thing that the lab needs and this machine lacks, as a sentence; false if it has all. */
export function missingNeed(programs: readonly string[] = []): string | false {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  for (const [program, debianPackage] of [
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
    ...programs.map((program) => [program, program] as const),
  ] as const) {
    if (!isOnPath(program)) return `the program ${program} is missing (Debian package ${debianPackage})`;
  }
  return false;
}

export function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(path.delimiter).some((folder) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
