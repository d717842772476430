import type { Plugin } from 'vite';
import { empty, full } from './data';
import { type Incoming, type Outgoing, handle } from './routes';

/** What the server sends with every page: the console has to live within it. */
const POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/**
 * A stand-in for the HTTP API, in memory, for work on the console: `vite --mode mock`, or `vite preview --mode mock`
 * for the built console. SORI_MOCK=empty begins like a new server (sign in as admin, password "first").
 */
export function mock(): Plugin {
  const world = process.env.SORI_MOCK === 'empty' ? empty() : full();
  const answer = (request: object, response: Outgoing) => void handle(world, request as Incoming, response);
  return {
    name: 'sori-mock',
    configureServer(server) {
      server.middlewares.use('/api', answer);
    },
    configurePreviewServer(server) {
      server.middlewares.use('/api', answer);
      server.middlewares.use((_request, response, next) => {
        response.setHeader('Content-Security-Policy', POLICY);
        next();
      });
    },
  };
}

declare const process: { env: Record<string, string | undefined> };
