// The request as a curl command and as a Python program, and buttons that copy text.

/** Returns a curl command for a POSIX shell; every text is quoted correctly. */
export function curlOf(url, request, withKey) {
  const quoted = JSON.stringify(request).replaceAll("'", "'\\''");
  const key = withKey ? ' \\\n  -H "Authorization: Bearer $HEED_KEY"' : "";
  return `curl ${url} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d '${quoted}'`;
}

/** Returns a Python program that uses only the standard library. */
export function pythonOf(url, request, withKey) {
  // A JSON string is also a valid Python string.
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

/** Makes a button copy the value of `text()` and show the result; null stands for a text too long. */
export function connectCopyButton(button, text) {
  const caption = button.textContent;
  button.addEventListener("click", async () => {
    const value = text();
    button.textContent = value === null ? "Too long" : (await copy(value)) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = caption), 1500);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // navigator.clipboard exists only on https and on localhost.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}
