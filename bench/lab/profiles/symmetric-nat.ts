import { defaultBudgetSeconds, type Profile } from '../profile.ts';

export const symmetricNat: Profile = {
  name: 'symmetric-nat',
  summary: 'addresses are translated, with another random port for each destination',
  firewall: `table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "outside" counter masquerade fully-random
  }
}`,
  rungs: { chromium: ['udp'], node: ['udp'] },
  budgetSeconds: defaultBudgetSeconds,
};
