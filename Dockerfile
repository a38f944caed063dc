# One image for the three services and the witness: which one runs is the command, for example `node apps/vault/dist/main.js`.
FROM node:20.20-bookworm-slim AS build
WORKDIR /kms
COPY . .
RUN npm ci --no-audit --no-fund && npm run build

FROM node:20.20-bookworm-slim AS dependencies
WORKDIR /kms
COPY package.json package-lock.json ./
COPY apps apps
COPY libs libs
COPY tools tools
RUN npm ci --omit=dev --no-audit --no-fund -w @kms/gateway -w @kms/vault -w @kms/audit -w @kms/witness

FROM node:20.20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /kms
COPY --from=dependencies /kms/node_modules node_modules
COPY --from=build /kms/package.json package.json
COPY --from=build /kms/apps apps
COPY --from=build /kms/libs libs
# Where the audit service and the witness keep their last checkpoints.
RUN mkdir /state && chown node:node /state
USER node
CMD ["node", "apps/gateway/dist/main.js"]
