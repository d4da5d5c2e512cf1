// The page's call as a command and as a program, quoted so that any text survives, and copying.

/** A curl command for a POSIX shell. */
export function curlOf(url, request, withKey) {
  const quoted = JSON.stringify(request).replaceAll("'", "'\\''");
  const key = withKey ? ' \\\n  -H "Authorization: Bearer $HEED_KEY"' : "";
  return `curl ${url} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d '${quoted}'`;
}

/** A Python program that needs nothing but Python. */
export function pythonOf(url, request, withKey) {
  // A JSON string is a Python string too: both escape alike.
  const fields = Object.entries(request).map(
    ([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},\n`,
  );
  const key = withKey ? '    "Authorization": "Bearer " + os.environ["HEED_KEY"],\n' : "";
  return `import json
${withKey ? "import os\n" : ""}from urllib.request import Request, urlopen

body = {
${fields.join("")}}
headers = {
    "Content-Type": "application/json",
${key}}
request = Request("${url}", json.dumps(body).encode(), headers)
print(json.load(urlopen(request)))`;
}

/** Make a button copy what `text()` gives, and say so; null is what does not fit. */
export function copies(button, text) {
  const name = button.textContent;
  button.addEventListener("click", async () => {
    const copied = text();
    button.textContent = copied === null ? "Too long" : (await copy(copied)) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = name), 1500);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard's own interface exists only on https and localhost.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
