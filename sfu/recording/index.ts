export { RoomRecording, type RoomRecordingDeps } from './room-recording.ts';
