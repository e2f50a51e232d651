/** Networks that are left through an HTTP proxy only: squid or tinyproxy on the router, CONNECT to port 443 alone. */
import { startSquid, startTinyproxy, type ProxyServerOptions } from '../e2e/proxy-server.ts';
import { routerAddress, type StartIntermediary } from './intermediary.ts';

const programs = { squid: startSquid, tinyproxy: startTinyproxy };
const port = 3128;
const account = { username: 'employee', password: 'of the company' };

export function connectProxy(program: keyof typeof programs, scheme?: 'basic' | 'digest'): StartIntermediary {
  return async (lab) => {
    const options: ProxyServerOptions = {
      host: routerAddress,
      port,
      connectPorts: [443],
      prefix: lab.router.prefix,
      ...(scheme === undefined ? {} : { auth: { scheme, ...account } }),
    };
    const server = await programs[program](options);
    return {
      proxy: { url: server.url, ...(scheme === undefined ? {} : account) },
      facts: async () => [
        `${String((await server.log()).match(/CONNECT/g)?.length ?? 0)} mentions of CONNECT in its log`,
      ],
      close: () => server.close(),
    };
  };
}
