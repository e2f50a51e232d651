export { DtlsServerTransport, type DtlsServerOptions } from './dtls-server-transport.ts';
export { createDtlsIdentity } from './identity.ts';
export { createDtlsCounters, type DtlsCounters } from '../../tunnel-protocol/index.ts';
