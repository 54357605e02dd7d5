// server.js PORT: node's http server, GET /N answers a document from $DOCS,
// POST the length and sum of what came.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');

const server = http.createServer((req, res) => {
	if (req.method === 'POST') {
		const sum = crypto.createHash('sha256');
		let n = 0;
		req.on('data', (d) => { n += d.length; sum.update(d); });
		req.on('end', () => res.end(`${n} ${sum.digest('hex')}\n`));
		return;
	}
	const file = path.join(process.env.DOCS, path.basename(req.url));
	if (!fs.existsSync(file)) {
		res.statusCode = 404;
		res.end();
		return;
	}
	res.setHeader('Content-Length', fs.statSync(file).size);
	if (req.url.startsWith('/file/'))
		fs.createReadStream(file).pipe(res);
	else
		res.end(fs.readFileSync(file));
});
server.keepAliveTimeout = 30000;
server.listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
