/** What axe-core, the usual engine for accessibility rules, finds wrong with a page as it is now. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';

const schemes = ['light', 'dark'] as const;

/** One line per rule and place that is violated, in each colour scheme. `where` names the state of the page in them. */
export async function accessibilityFaults(page: Page, where: string): Promise<string[]> {
  const loaded = await page.evaluate(`typeof axe === 'object'`);
  // By the debugger, for the page's policy admits no script of others.
  if (loaded !== true) await page.evaluate(axe.source);
  const faults: string[] = [];
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
    for (const { id, nodes } of violations) {
      for (const { target, failureSummary = '' } of nodes)
        faults.push(`${where}, ${colorScheme}: ${id} at ${target.join(' ')}: ${failureSummary.replaceAll('\n', ' ')}`);
    }
  }
  return faults;
}
