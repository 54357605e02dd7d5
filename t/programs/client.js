// client.js kept|once PORT SOCKETS TIMES SIZE...: node's http client, with an
// agent that keeps SOCKETS connections or opens one for each request; every
// body is compared with $DOCS. Prints how many bytes were right.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');

const [how, port, sockets, times, ...sizes] = process.argv.slice(2);
// Even without keepAlive an agent hands a socket on to a request that waits
// for one: only without an agent has each request its own.
const agent = how === 'kept' && new http.Agent({
	keepAlive: true, maxSockets: Number(sockets),
});
let right = 0;

function die(why) {
	console.error(why);
	process.exit(1);
}

function ask(method, where, body) {
	return new Promise((done) => {
		const req = http.request({
			host: '127.0.0.1', port, agent, method, path: where,
		}, (res) => {
			const got = [];
			res.on('data', (d) => got.push(d));
			res.on('end', () => done(Buffer.concat(got)));
			res.on('error', die);
		});
		req.on('error', die);
		req.end(body);
	});
}

async function get(size) {
	const doc = fs.readFileSync(path.join(process.env.DOCS, size));
	const got = await ask('GET', `/${size}`);
	if (!got.equals(doc))
		die(`a body of ${size} bytes is wrong: ${got.length} came`);
	right += got.length;
}

async function post(size) {
	const doc = fs.readFileSync(path.join(process.env.DOCS, size));
	const sum = crypto.createHash('sha256').update(doc).digest('hex');
	const got = await ask('POST', '/', doc);
	if (String(got) !== `${size} ${sum}\n`)
		die(`a post of ${size} bytes is wrong: ${got}`);
}

async function main() {
	for (const size of sizes) {
		const all = [];
		for (let i = 0; i < Number(times); i++) {
			all.push(get(size));
			if (how === 'once')
				await all[i];
		}
		await Promise.all(all);
		if (how === 'kept')
			await post(size);
	}
	if (agent)
		agent.destroy();
	console.log(right);
}

main();
