export { createDataAssociation } from './sctp.ts';
