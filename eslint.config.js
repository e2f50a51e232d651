import tseslint from 'typescript-eslint';

/** Who may import whom (CONTRIBUTING.md): a root folder is a module, and nothing reaches past its door. */
const may = {
  'tunnel-protocol': [],
  turn: ['tunnel-protocol'],
  sfu: ['tunnel-protocol'],
  client: ['tunnel-protocol'],
  gateway: ['tunnel-protocol', 'turn', 'sfu'],
  'gateway/cli': ['tunnel-protocol', 'turn', 'sfu', 'client'],
  bench: ['tunnel-protocol', 'turn', 'sfu', 'client', 'gateway'],
};
const folders = Object.keys(may).filter((folder) => !folder.includes('/'));
const importPatterns = (folder) =>
  folders
    .filter((other) => other !== folder.split('/')[0])
    .map((other) =>
      may[folder].includes(other)
        ? { regex: `\\.\\./${other}/(?!index\\.ts$)`, message: `Enter ${other}/ by its door, index.ts.` }
        : { regex: `\\.\\./${other}/`, message: `${folder}/ may not import ${other}/ (see CONTRIBUTING.md).` },
    );
const importTable = Object.keys(may).map((folder) => ({
  files: [`${folder}/**/*.ts`],
  rules: { 'no-restricted-imports': ['error', { patterns: importPatterns(folder) }] },
}));

/** Machines without I/O take clocks, timers and randomness from outside. */
const sansIo = {
  'no-restricted-globals': [
    'error',
    ...['process', 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'queueMicrotask'],
    ...['performance', 'Buffer', 'console', 'crypto', 'fetch', 'WebSocket', 'window', 'document', 'navigator', 'self'],
    ...['Worker', 'MessageChannel', 'structuredClone', 'globalThis'],
  ],
  'no-restricted-properties': ['error', { object: 'Date', property: 'now' }, { object: 'Math', property: 'random' }],
};

export default tseslint.config(
  // AssemblyScript is checked by its own compiler.
  { ignores: ['dist', '.tap', 'data', 'tunnel-protocol/srtp/wasm', 'bench/srtp/wasm'] },
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
  },
  ...importTable,
  {
    files: ['**/*.test.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafePromises: [{ from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }] },
      ],
    },
  },
  {
    files: ['tunnel-protocol/**/*.ts', 'client/ice/**/*.ts', 'client/turn-client/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: sansIo,
  },
  {
    files: ['tunnel-protocol/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            ...importPatterns('tunnel-protocol'),
            { regex: '^[^.]', message: 'tunnel-protocol/ runs anywhere: it imports no package and nothing of Node.' },
          ],
        },
      ],
    },
  },
);
