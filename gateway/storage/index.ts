export { S3Client } from './s3-client.ts';
export { S3Storage } from './s3-storage.ts';
export { FolderStorage, type Storage } from './storage.ts';
