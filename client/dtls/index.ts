export { DtlsClientTransport, type DtlsClientOptions } from './dtls-client-transport.ts';
export { createDtlsIdentity } from './identity.ts';
export { createDtlsCounters, type DtlsCounters } from '../../tunnel-protocol/index.ts';
