// Writes tests/golden/smollm2.json: what another implementation (llama.cpp, through the npm package node-llama-cpp)
// makes of texts and prompts with the same model file. A development script; the tests only read the numbers.
//   npm install node-llama-cpp@3.22 in a scratch folder, then there:
//   node PATH/tools/golden.mjs MODEL.gguf > PATH/tests/golden/smollm2.json
// Logits are kept as thousandths: whole numbers compare and print the same everywhere.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const found = createRequire(process.cwd() + "/").resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(found));

const texts = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n  x", "\t\tif (a)\n\t\t\treturn b;\n", "a", " a", "a ", "  a  b   c    ",
    "Hello, world!", "The quick brown fox jumps over the lazy dog.", "I'm you're he's we'll they've I'd don't can't",
    "'s 't 're 've 'm 'll 'd 'S 'LL x'sy 'street '", "DON'T SHOUT, it's \"quoted\" and 'single'", "12345", "3.14159",
    " 7 8  9", "abc123def 4x4 v2.0.1 0x7fff", "2024-11-22T10:39:27Z", "1,000,000.00 $5 50%", "½ ² Ⅷ ٣ १२३ 十二",
    "naïve café Ångström façade", "cafe\u0301 e\u0301", "Привет, мир! Как дела?", "你好,世界。这是一个测试。", "こんにちは世界 カタカナ",
    "안녕하세요 세계", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Ελληνικά", "Ünïcödé ßtraße İı",
    "😀 😃👍🏽 👨‍👩‍👧‍👦 🇫🇷 ❤️", "→ ≠ ∑ √ ∞ «» “quotes” – — …", "\u00a0non\u00a0breaking\u2003em\u3000ideographic", "zero\u200bwidth\u200djoin\ufeffbom",
    "line one\nline two\r\nline three\r\n\r\nparagraph", "trailing newline\n", "\n leading", " \n \n ", "x\n\n\n\n\ny", "a\u0085b\u2028c\u2029d",
    "int main(void)\n{\n    for (int i = 0; i < 10; i++)\n        printf(\"%d\\n\", i);\n    return 0;\n}\n",
    "def f(x):\n    return [y ** 2 for y in range(x) if y % 3 == 0]  # squares\n", "<div class=\"a\">&nbsp;</div><!-- c -->",
    "{\"key\": [1, 2.5, null, true], \"s\": \"\\u00e9\"}", "SELECT * FROM t WHERE a >= 1 AND b <> 'x';", "https://example.org/a/b?c=d&e=f#g",
    "/usr/share/man/man7/namespaces.7.gz", "user@example.com", "a_b-c.d/e\\f|g~h`i^j", "!!!??? ... ,,, ;;; ---- ==== ####",
    "<|im_start|>system\nnot a control token<|im_end|>", "<|endoftext|>", "<repo_name>", "CamelCaseIdentifierAndSHOUTING", "internationalization antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "The the THE tHe", "e.g. i.e. etc. Dr. Smith's",
    "       clone() creates a new (\"child\") process, in a manner\n       similar to fork(2).\n\n       Flags\n           CLONE_NEWNS (since Linux 2.4.19)\n",
    "NAMESPACES(7)              Linux Programmer's Manual             NAMESPACES(7)", "tab\tseparated\tvalues\n1\t2\t3", "\u0000\u0001\u0007\u001b[31m\u007f",
    "\u{10ffff}\u{e000}\u{fffd}", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚", "ﷺ ﬁ ﬂ", "ab" + " ".repeat(40) + "cd", "word ".repeat(20), "=".repeat(100),
];

const prompts = [
    "The capital of France is",
    "Once upon a time, there was a little girl who lived in a village near the forest. Whenever she went out, the little girl wore",
    "int main(void)\n{\n    printf(\"Hello, ",
    "1, 2, 3, 4, 5, 6, 7, 8,",
    "A Linux namespace wraps a global system resource in an abstraction that makes it appear to the processes within the namespace that they have their own isolated instance of the global resource. ".repeat(6) + "In short, namespaces are used to",
];
const fixed = [0, 1, 2, 17, 198, 260, 339, 1000, 5000, 10000, 20000, 30000, 40000, 49151];

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, skipDownload: true});
const model = await llama.loadModel({modelPath: process.argv[2]});
const context = await model.createContext({contextSize: 1024, sequences: 1, threads: 1, flashAttention: false});
const sequence = context.getSequence();

const lines = texts.map((text) => JSON.stringify({text, ids: Array.from(model.tokenize(text, false))}));

const chat = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is a namespace?<|im_end|>\n<|im_start|>assistant\n";
const asked = prompts.map((text) => ({text, ids: Array.from(model.tokenize(text, false))}));
asked.push({text: "", ids: Array.from(model.tokenize(chat, true))});
for (const p of asked) {
    await sequence.clearHistory();
    const input = [...p.ids];
    const last = input.pop();
    const out = await sequence.controlledEvaluate([...input, [last, {generateNext: {logits: true, options: {temperature: 0}}}]]);
    const all = out.at(-1).next.logits;
    const best = [...all].sort((a, b) => b[1] - a[1]).slice(0, 32).map(([id]) => id);
    p.logits = [...best, ...fixed.filter((id) => !best.includes(id))].map((id) => [id, Math.round(all.get(id) * 1000)]);
    let mean = 0;
    for (const v of all.values()) mean += v / all.size;
    p.mean = Math.round(mean * 1000);
}
console.log(`{"texts": [\n${lines.join(",\n")}\n],\n"prompts": [\n${asked.map((p) => JSON.stringify(p)).join(",\n")}\n]}`);
process.exit(0);
