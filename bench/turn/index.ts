export { LoadClient, LoadCounter, type LoadCredentials } from './load-client.ts';
