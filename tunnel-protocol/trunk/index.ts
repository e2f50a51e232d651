export * from './trunk-frames.ts';
