// scenes.mjs - plays scenarios in the WebAssembly build and prints what `tern demo --json` prints.
//
//     node scenes.mjs scenes.wasm [--seed N] NAME...
import { readFileSync, writeSync } from 'node:fs'

const [file, ...words] = process.argv.slice(2)
const seed = words[0] === '--seed' ? BigInt(words.splice(0, 2)[1]) : 1n
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {})
for (const name of words) {
    const room = new Uint8Array(exports.memory.buffer, exports.scenes_name(), 64)
    new TextEncoder().encodeInto(name + '\0', room)
    const length = exports.scenes_play(seed)
    if (length < 0) throw new Error(`no scenario is called '${name}'`)
    const text = new Uint8Array(exports.memory.buffer, exports.scenes_text(), length)
    for (let at = 0; at < length;) at += writeSync(1, text, at)
}
