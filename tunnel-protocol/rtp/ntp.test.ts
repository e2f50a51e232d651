import t from 'tap';
import { middleOfNtp, ntpFromUnixMs, unixMsFromNtp } from './ntp.ts';

void t.test('NTP time', (t) => {
  t.same(ntpFromUnixMs(0), { seconds: 2_208_988_800, fraction: 0 });
  t.same(ntpFromUnixMs(1500), { seconds: 2_208_988_801, fraction: 0x8000_0000 });
  t.equal(unixMsFromNtp(ntpFromUnixMs(1_700_000_000_250)), 1_700_000_000_250);
  t.equal(middleOfNtp({ seconds: 0x12345678, fraction: 0x9abcdef0 }), 0x56789abc);
  t.equal(middleOfNtp({ seconds: 0x1234ffff, fraction: 0xffffffff }), 0xffff_ffff);
  t.end();
});
