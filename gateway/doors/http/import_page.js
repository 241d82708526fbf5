"use strict";
// Everything shown comes from the HTTP API of this door (docs/imports.md). Texts of a source are written as text, never as HTML.

const PAGE = 100;
const POLL_MS = 1500;
const OVER = ["done", "refused", "duplicate", "failed", "cancelled"];
const MEDIA = {
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  csv: "text/csv",
  json: "application/json",
  ndjson: "application/x-ndjson",
  jsonl: "application/x-ndjson",
};
const STATES = {
  waiting: "等待处理 · waiting",
  working: "处理中 · working",
  done: "处理完毕 · done",
  refused: "有误，整份未收 · something was wrong, nothing was taken",
  duplicate: "与以往提交的内容相同，未重复申报 · the same values were handed in before, nothing was declared again",
  failed: "无法继续 · it cannot go on",
  cancelled: "已取消 · cancelled",
};

let token = "";
let watched = 0; // counts the jobs looked at: an answer about an earlier one is not shown

const at = (id) => document.getElementById(id);

class Problem extends Error {}

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
  if (!answer.ok) throw problem(answer.status, await answer.text());
  return answer;
}

function problem(status, body) {
  try {
    const told = JSON.parse(body);
    const faults = (told.faults ?? []).map((one) => `${one.message_zh} ${one.message}. ${one.fix_zh} ${one.fix}`);
    return new Problem([`${told.title_zh ?? ""} ${told.title ?? status}`, ...faults].join("\n"));
  } catch {
    return new Problem(status ? `HTTP ${status}` : "无法连接网关 · the gateway cannot be reached");
  }
}

function say(text, good = false) {
  at("message").textContent = text;
  at("message").className = good ? "good" : "bad";
  at("message").hidden = !text;
}

function guarded(work) {
  return async (event) => {
    event?.preventDefault();
    say("");
    try {
      await work(event);
    } catch (error) {
      say(error instanceof Problem ? error.message : `无法连接网关 · the gateway cannot be reached (${error.message})`);
    }
  };
}

// ---- who ----

async function enter() {
  token = at("token").value.trim();
  const { mappings } = await (await ask("/v1/mappings")).json();
  at("mapping").replaceChildren(
    ...mappings.map((one) => {
      const option = document.createElement("option");
      option.value = one.name;
      option.textContent = `${one.name} · ${one.message_type} ${one.about}`;
      return option;
    }),
  );
  at("token").value = "";
  at("enter").hidden = true;
  for (const id of ["hand-in", "leave"]) at(id).hidden = false;
  await showEarlier();
}

function leave() {
  token = "";
  watched += 1;
  for (const id of ["hand-in", "leave", "job", "earlier"]) at(id).hidden = true;
  at("enter").hidden = false;
  say("");
}

async function showEarlier() {
  const { imports } = await (await ask("/v1/imports?limit=10")).json();
  at("jobs").replaceChildren(
    ...imports.map((one) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${beijing(one.created_at)} ${one.mappings.map((it) => it.name).join(", ")}`;
      button.addEventListener("click", guarded(() => watch(one.id, button.textContent)));
      item.append(button, ` ${STATES[one.state] ?? one.state}`);
      return item;
    }),
  );
  at("earlier").hidden = imports.length === 0;
}

// ---- handing in ----

async function handIn(file) {
  const mappings = [...at("mapping").selectedOptions].map((one) => one.value);
  if (!mappings.length) throw new Problem("请先选择表格类型 · choose the kind of sheet first");
  const suffix = file.name.split(".").pop().toLowerCase();
  if (!MEDIA[suffix]) throw new Problem(`不支持的文件 · not a file that can be read: ${file.name} (XLSX, CSV, JSON, NDJSON)`);
  const query = new URLSearchParams({ mapping: mappings.join(","), app_time: appTime(file.lastModified) });
  if (suffix === "csv" && at("charset").value) query.set("charset", at("charset").value);
  if (at("whole").checked) query.set("all_or_nothing", "true");
  const job = await upload(`/v1/imports?${query}`, file, MEDIA[suffix]);
  await watch(job.id, file.name);
}

function upload(path, file, media) {
  // XMLHttpRequest, because fetch does not tell how much of a body is on its way.
  show(file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Content-Type", media);
    request.upload.addEventListener("progress", (event) => {
      progress(event.loaded, event.total);
      at("state").textContent = `上传中 · uploading ${percent(event.loaded, event.total)}`;
    });
    request.addEventListener("load", () => {
      if (request.status === 200 || request.status === 202) resolve(JSON.parse(request.responseText));
      else fail(problem(request.status, request.responseText));
    });
    const fail = (error) => {
      at("job").hidden = true;
      reject(error);
    };
    request.addEventListener("error", () => fail(problem(0, "")));
    request.send(file);
  });
}

function appTime(changed) {
  // The time at which the file was changed, in Beijing: the same file handed in again declares the same.
  return new Date(changed + 8 * 3600 * 1000).toISOString().replace(/[-T:]/g, "").slice(0, 14);
}

// ---- looking on ----

function show(name) {
  watched += 1;
  at("job-name").textContent = name;
  at("state").textContent = "";
  for (const id of ["taken", "refused-count", "messages"]) at(id).textContent = "0";
  for (const id of ["refused", "answers"]) at(id).hidden = true;
  at("progress").removeAttribute("value");
  at("job").hidden = false;
}

async function watch(id, name) {
  show(name);
  const mine = watched;
  at("get-refused").onclick = guarded(() => save(`/v1/imports/${id}/refused.xlsx`, `refused-${id}.xlsx`));
  at("get-result").onclick = guarded(() => save(`/v1/imports/${id}/result.xlsx`, `result-${id}.xlsx`));
  for (;;) {
    const job = await (await ask(`/v1/imports/${id}?limit=${PAGE}`)).json();
    if (mine !== watched) return;
    showJob(job);
    const result = job.summary.messages ? await (await ask(`/v1/imports/${id}/result?limit=${PAGE}`)).json() : { declarations: [] };
    if (mine !== watched) return;
    showAnswers(result.declarations, job.summary.declarations + job.summary.refused);
    await new Promise((resume) => setTimeout(resume, OVER.includes(job.summary.state) ? 3 * POLL_MS : POLL_MS));
    if (mine !== watched) return;
  }
}

function showJob({ summary, refused }) {
  const over = OVER.includes(summary.state);
  const told = [STATES[summary.state] ?? summary.state];
  if (summary.duplicate_of) told.push(summary.duplicate_of);
  for (const one of summary.faults) told.push(`${one.message_zh} ${one.message}`, `${one.fix_zh} ${one.fix}`);
  for (const one of summary.notes) told.push(`${one.message_zh} ${one.message}`);
  if (over && summary.unconsumed.length) told.push(`未使用的列 · columns not used: ${summary.unconsumed.join("、")}`);
  at("state").textContent = told.join("\n");
  at("state").className = ["failed", "refused"].includes(summary.state) ? "bad" : "";
  at("taken").textContent = summary.declarations;
  at("refused-count").textContent = summary.refused;
  at("messages").textContent = summary.messages;
  if (over) progress(1, 1);
  else progress(summary.position, summary.rows ?? 0);
  at("refused").hidden = !summary.refused;
  rows("refused-rows", refused.map((one) => refusedCells(one)));
  more("refused-more", refused.length, summary.refused);
}

function refusedCells({ declaration, faults }) {
  const [span] = declaration.rows;
  return [
    span?.sheet ?? "",
    span ? spanned(span) : declaration.place,
    lines(faults.map((one) => one.name_zh || one.path)),
    both(faults, "message"),
    both(faults, "fix"),
  ];
}

function showAnswers(result, all) {
  at("answers").hidden = !result.length;
  rows(
    "answer-rows",
    result.map((one) => [one.rows[0]?.sheet ?? "", one.rows[0] ? spanned(one.rows[0]) : one.place, one.declaration, `${one.outcome} ${one.status} ${one.meaning} ${one.info}`]),
  );
  more("answers-more", result.length, all);
}

const spanned = ({ first, last }) => (first === last ? `${first}` : `${first}–${last}`);
const lines = (texts) => [...new Set(texts.filter(Boolean))].join("\n");
const both = (faults, name) => ({ zh: lines(faults.map((one) => one[`${name}_zh`])), en: lines(faults.map((one) => one[name])) });

function rows(id, table) {
  at(id).replaceChildren(
    ...table.map((cells) => {
      const row = document.createElement("tr");
      for (const cell of cells) {
        const box = document.createElement("td");
        if (typeof cell === "string") {
          box.textContent = cell;
        } else {
          const small = document.createElement("small");
          small.textContent = cell.en;
          box.append(cell.zh, small);
        }
        row.append(box);
      }
      return row;
    }),
  );
}

function more(id, shown, all) {
  at(id).hidden = shown >= all;
  at(id).textContent = `仅显示前${shown}项，共${all}项；全部见下载的文件 · the first ${shown} of ${all}; all are in the file`;
}

function progress(done, all) {
  if (all) {
    at("progress").max = all;
    at("progress").value = done;
  } else {
    at("progress").removeAttribute("value");
  }
}

const percent = (done, all) => (all ? `${Math.floor((100 * done) / all)} %` : "");
const beijing = (time) => new Date(Date.parse(time) + 8 * 3600 * 1000).toISOString().replace("T", " ").slice(0, 16);

async function save(path, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await ask(path)).blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// ---- what people do ----

at("enter").addEventListener("submit", guarded(enter));
at("hand-in").addEventListener("submit", (event) => event.preventDefault());
at("leave").addEventListener("click", leave);
at("file").addEventListener("change", guarded(async () => {
  const [file] = at("file").files;
  at("file").value = "";
  if (file) await handIn(file);
}));
for (const kind of ["dragenter", "dragover"]) {
  at("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
at("drop").addEventListener("dragleave", () => at("drop").classList.remove("over"));
at("drop").addEventListener("drop", guarded(async (event) => {
  at("drop").classList.remove("over");
  const files = event.dataTransfer.files;
  if (files.length !== 1) throw new Problem("请一次拖入一个文件 · drop one file at a time");
  await handIn(files[0]);
}));
