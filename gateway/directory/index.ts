export {
  DirectoryDown,
  directoryTimes,
  sameRoom,
  type Directory,
  type EdgeRecord,
  type NodeRecord,
  type RoomRecord,
  type SessionRecord,
} from './directory.ts';
export { DirectoryView } from './directory-view.ts';
export { MemoryDirectory } from './memory-directory.ts';
export { NodeLeases } from './node-leases.ts';
export { RedisDirectory } from './redis-directory.ts';
export { SessionBook } from './session-book.ts';
