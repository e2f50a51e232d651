# Built in one stage, run from another that has neither compilers nor sources. Runs as a user of its own, and needs nothing
# of its file system but /data: start it with --read-only.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:22-bookworm-slim
ENV NODE_ENV=production \
    SALLYPORT_PORT=443 \
    SALLYPORT_DATA_DIR=/data \
    SALLYPORT_ADMIN_HOST=0.0.0.0
WORKDIR /app
# libcap2-bin is needed here alone: the ports below 1024 belong to the program, not to root.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libcap2-bin \
  && setcap cap_net_bind_service=+ep "$(readlink -f "$(command -v node)")" \
  && apt-get purge -y -qq libcap2-bin && apt-get autoremove -y -qq && rm -rf /var/lib/apt/lists/* \
  && groupadd --system --gid 10001 sallyport && useradd --system --uid 10001 --gid 10001 sallyport \
  && mkdir /data && chown 10001:10001 /data
COPY --from=build /build/package.json ./
COPY --from=build /build/bin ./bin
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
USER 10001:10001
VOLUME /data
EXPOSE 443/tcp 443/udp 3478/udp 9090/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9090/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM drains: give it the time with --stop-timeout.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "bin/sallyport.js"]
CMD ["start"]
