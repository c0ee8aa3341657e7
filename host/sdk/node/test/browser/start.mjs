// Runs the page's checks, and sends the result to the server, whatever happens.

const violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => violations.push(`${violatedDirective} ${blockedURI}`));

const result = await import("./checks.mjs").then(({ checks }) => checks()).catch((error) => ({ error: `${error.stack}` }));
// Violations are events of their own, which are delivered before the next answer.
await fetch("/settings.json");
await fetch("/result", { method: "POST", body: JSON.stringify({ ...result, violations, agent: navigator.userAgent }) });
