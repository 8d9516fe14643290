/**
 * Serves an example's page (this folder's, if none is named), the export and TF.js on this machine only.
 *
 *     node examples/tfjs/serve.mjs EXPORT [PORT [PAGE]]
 */

import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const RUNTIME = path.join(HERE, "../../.tfjs/runtime/node_modules/@tensorflow/tfjs/dist");
const TYPES = {
  ".html": "text/html",
  ".css": "text/css",
 ".mjs": "text/javascript",
  ".js": "text/javascript",
  ".json": "application/json",
};

const [directory, port = "8080", page = HERE] = process.argv.slice(2);
if (!directory) {
  console.error("usage: node examples/tfjs/serve.mjs EXPORT [PORT [PAGE]]");
  process.exit(2);
}
const ROOTS = [
  ["/model/", path.resolve(directory)],
  ["/tfjs/", RUNTIME],
  ["/", path.resolve(page)],
];

/** The file that a URL means, or null for one outside of the roots. */
function fileOf(url) {
  const { pathname } = new URL(url, "http://localhost");
  const [prefix, root] = ROOTS.find(([start]) => pathname.startsWith(start));
  const file = path.resolve(root, decodeURIComponent(pathname.slice(prefix.length)) || "index.html");
  return file.startsWith(root + path.sep) ? file : null;
}

const server = http.createServer(async (request, response) => {
  try {
    // Here, as a URL may be none.
    const file = fileOf(request.url);
    const body = await readFile(file);
    response.writeHead(200, { "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
