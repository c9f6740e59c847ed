// Unpacks Chromium out of its package into the folder TMPDIR, with the libraries and fonts that a
// bare machine lacks. Its package takes those for the ones of Amazon's functions.

process.env.AWS_LAMBDA_JS_RUNTIME = "nodejs22.x";
const { default: chromium } = await import("@sparticuz/chromium");
console.log(await chromium.executablePath());
