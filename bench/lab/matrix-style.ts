/** The style of the lab's page; light and dark. */
export const matrixStyle = `
:root{color-scheme:light dark;--paper:#f6f5f1;--card:#fff;--ink:#1b222c;--muted:#68717f;--line:#dfe0dc;
--good:#1f7a55;--good-soft:#e4f2ea;--bad:#b3382c;--bad-soft:#fbe9e6;--other:#2f6f8f;--faint:#e6e6e1;--called-off:#c3c6c4;--waiting:#d9a441}
@media (prefers-color-scheme:dark){:root{--paper:#12161b;--card:#1a2027;--ink:#e9ecef;--muted:#96a0ad;--line:#2a323b;
--good:#4cc38a;--good-soft:#173127;--bad:#f0796b;--bad-soft:#3a1f1c;--other:#5fb0d6;--faint:#252c34;--called-off:#4a535d;--waiting:#d9a441}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 56px}
header{display:flex;gap:32px;justify-content:space-between;align-items:flex-start}
header p{margin:6px 0 0;color:var(--muted);max-width:60ch}
h1{margin:0;font-size:32px;letter-spacing:-.02em}
.verdict{margin:0;padding:10px 18px;border-radius:12px;white-space:nowrap;text-align:center;font-size:13px}
.verdict b{display:block;font-size:34px;line-height:1.1;letter-spacing:-.02em}.verdict small{font-size:20px;opacity:.65}
.verdict.good{background:var(--good-soft);color:var(--good)}.verdict.bad{background:var(--bad-soft);color:var(--bad)}
.topology{width:100%;height:auto;margin:26px 0 22px;display:block}
.topology .box{fill:var(--card);stroke:var(--line);stroke-width:1.5}.topology .wire{stroke:var(--muted);stroke-width:1.5;fill:none}
.topology .wave{stroke:var(--waiting);stroke-width:2;fill:none}
.topology .bricks{stroke:var(--bad);stroke-width:1.5;opacity:.55;fill:none}.topology .wall{stroke:var(--bad);fill:var(--bad-soft)}
.topology text{fill:var(--ink);font:600 14px system-ui,"DejaVu Sans",sans-serif;text-anchor:middle}
.topology .address{font:12px ui-monospace,"DejaVu Sans Mono",monospace;fill:var(--muted)}
.matrix{display:grid;grid-template-columns:minmax(150px,210px) repeat(var(--columns),minmax(0,1fr));gap:14px}
.column{margin:0;font-size:13px;font-weight:600;color:var(--muted)}
.profile{padding:14px 6px 0 0}.profile h3{margin:0;font-size:17px}.profile p{margin:3px 0 0;color:var(--muted);font-size:13.5px;line-height:1.4}
.facts{margin:8px 0 0;padding:0;list-style:none;font-size:12px;color:var(--muted);line-height:1.45}.facts li{margin-top:3px;padding-left:10px;border-left:2px solid var(--line)}
.cell{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--good);border-radius:10px;padding:14px 16px 12px}
.cell.bad{border-left-color:var(--bad)}
.client{display:none;margin:0 0 4px;font-size:12.5px;color:var(--muted)}
.headline{display:flex;justify-content:space-between;align-items:baseline;gap:12px}
.rung{font:600 17px ui-monospace,"DejaVu Sans Mono",monospace;color:var(--good)}.bad .rung{color:var(--bad)}
.time{color:var(--muted);font-size:13px;white-space:nowrap}.time b{font-size:19px;color:var(--ink);font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.ladder{display:flex;gap:3px;margin:10px 0 8px;padding:0;list-style:none}.ladder li{flex:1;height:7px;border-radius:2px;background:var(--faint)}
.ladder .chosen,.legend .chosen{background:var(--good)}.ladder .connected,.legend .connected{background:var(--other)}
.ladder .failed,.legend .failed{background:var(--bad)}.ladder .superseded,.legend .superseded{background:var(--called-off)}
.ladder .pending,.legend .pending{background:var(--waiting)}.legend .untried,.legend .skipped{background:var(--faint)}
.bad .ladder .chosen{background:var(--bad)}
.problem{margin:8px 0;padding:8px 12px;border-radius:8px;background:var(--bad-soft);color:var(--bad);font-size:13.5px}
table{width:100%;border-collapse:collapse;font-size:12.5px}th,td{padding:2px 0;text-align:left;font-weight:400;white-space:nowrap}
th{width:86px;font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:12px}
.bar i{display:block;height:6px;border-radius:3px;background:var(--called-off)}
.ms{width:94px;text-align:right;padding-right:12px;font-variant-numeric:tabular-nums}.outcome{width:84px;color:var(--muted)}
tr.chosen .bar i{background:var(--good)}tr.chosen th{font-weight:600;color:var(--good)}tr.connected .bar i{background:var(--other)}tr.failed .bar i{background:var(--bad)}tr.pending .bar i{background:repeating-linear-gradient(90deg,var(--waiting) 0 4px,transparent 4px 8px)}
tr.superseded .bar i,tr.skipped .bar i{background:repeating-linear-gradient(90deg,var(--called-off) 0 4px,transparent 4px 8px)}
.small{margin:8px 0 0;font-size:12.5px;color:var(--muted)}
.part{margin:44px 0 0;font-size:20px}
.overview{margin:26px 0 0;background:var(--card);border:1px solid var(--line);border-radius:12px;border-spacing:0;border-collapse:separate;overflow:hidden}
.overview th,.overview td{padding:7px 14px;border-top:1px solid var(--line);white-space:normal;vertical-align:middle}.overview thead th{border-top:0;color:var(--muted);font:600 12.5px system-ui,"DejaVu Sans",sans-serif;padding:10px 14px}
.overview tr th:first-child{width:38%;font-family:inherit}.overview tr th b{font:600 14px ui-monospace,"DejaVu Sans Mono",monospace}.overview small{display:block;color:var(--muted);font:12px/1.35 system-ui,"DejaVu Sans",sans-serif}
.overview td b{font:600 14px ui-monospace,"DejaVu Sans Mono",monospace}.overview td.good{border-left:4px solid var(--good)}.overview td.bad{border-left:4px solid var(--bad)}.overview td.good b{color:var(--good)}.overview td.bad b{color:var(--bad)}
.overview td.none{border-left:4px solid var(--line);color:var(--muted)}.overview td.none small{display:inline}
.overview .ladder{margin:5px 0 0;width:128px}.overview .ladder li{height:6px}.overview .figures{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;margin:26px 0 0;padding:0;list-style:none;font-size:12.5px;color:var(--muted)}
.legend i{display:inline-block;width:16px;height:7px;border-radius:2px;margin-right:7px;vertical-align:1px}.legend .order{flex-basis:100%}
footer{margin-top:22px;padding-top:14px;border-top:1px solid var(--line);color:var(--muted);font-size:12.5px}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
@media (max-width:760px){.matrix{grid-template-columns:1fr}.corner,.column{display:none}.client{display:block}header{flex-direction:column}}
`;
