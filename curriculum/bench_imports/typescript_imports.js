// Which file each import of JavaScript and TypeScript files means: `node typescript_imports.js ROOT < NAMES` (JSON) prints pairs of paths.
const ts = require('typescript'), path = require('path'), root = process.argv[2];
const names = JSON.parse(require('fs').readFileSync(0, 'utf8')), found = [];
const options = {moduleResolution: ts.ModuleResolutionKind.Node10, allowJs: true, resolveJsonModule: true};
for (const name of names) {
  const file = path.join(root, name);
  for (const {fileName} of ts.preProcessFile(ts.sys.readFile(file) ?? '', true, true).importedFiles) {
    let to = ts.resolveModuleName(fileName, file, options, ts.sys).resolvedModule?.resolvedFileName;
    const run = to?.replace(/\.d\.ts$/, '.js');  // what a JavaScript file loads; its types stand beside it
    if (to && /\.[cm]?jsx?$/.test(name) && ts.sys.fileExists(run)) to = run;
    if (to) found.push([path.relative(root, to), name]);
  }
}
console.log(JSON.stringify(found));
