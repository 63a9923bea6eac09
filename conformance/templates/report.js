"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const VERDICTS = data.verdicts;
  // what a cell is named after when its cases differ: the first of these that occurs
  const GRAVITY = ["crash", "timeout", "error", "fail", "deviation", "pass", "unsupported"];
  const SYMBOLS = {
    pass: "✓",
    fail: "✗",
    unsupported: "–",
    error: "!",
    crash: "▼",
    timeout: "◔",
    deviation: "≠",
    none: "·",
  };
  // upper ends of the heat map's steps in sigma; the limit K lies between the fifth and the sixth
  const STEPS = [
    0,
    data.k / 8,
    data.k / 4,
    data.k / 2,
    data.k,
    data.k * 10,
    data.k * 1e3,
    data.k * 1e6,
    1e299,
    Infinity,
  ];
  const UNBOUNDED = 1e300;
  const byId = (id) => document.getElementById(id);

  // ---------------------------------------------------------------- making elements

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") made.addEventListener(name, value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    // strings become text, never markup: they come from the backends
    made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  const hidden = (text) => element("span", { class: "hidden" }, text);
  const count = (number) => number.toLocaleString("en-US");
  const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

  function sigma(error) {
    if (error >= UNBOUNDED) return "∞";
    if (error === 0) return "0";
    if (error >= 1000 || error < 0.001) return error.toExponential(1).replace("e+", "e");
    return error.toPrecision(3);
  }

  function number(value) {
    if (Object.is(value, -0)) return "-0";
    return value === null || value === undefined ? "" : String(value);
  }

  // ---------------------------------------------------------------- the model

  const cases = data.cases.map((found, index) => ({
    ...found,
    index,
    vjp: found.operation.endsWith(".vjp"),
    clauses: [],
    text: `${found.id} ${found.operation}`.toLowerCase(),
  }));
  const caseById = new Map(cases.map((each) => [each.id, each]));
  const clauses = data.clauses;
  const clauseById = new Map(clauses.map((each) => [each.id, each]));
  const topics = new Map();
  for (const clause of clauses) {
    for (const index of clause.cases) cases[index].clauses.push(clause);
    if (!topics.has(clause.topic)) topics.set(clause.topic, []);
    topics.get(clause.topic).push(clause);
  }
  const runs = data.runs.map((run, index) => ({
    ...run,
    index,
    results: new Map(
      run.results.map(([at, verdict, sigmaError, ulpError, place, got, want, reason]) => [
        at,
        {
          verdict: VERDICTS[verdict],
          sigma: sigmaError,
          ulp: ulpError,
          place,
          got,
          want,
          reason: data.reasons[reason],
        },
      ]),
    ),
  }));

  function tally(run, indices) {
    const counts = {};
    let worst = null;
    let ran = false;
    for (const index of indices) {
      const found = run.results.get(index);
      if (!found) continue;
      ran = true;
      if (state.verdict && !matchesVerdict(found.verdict)) continue;
      counts[found.verdict] = (counts[found.verdict] || 0) + 1;
      if (found.sigma !== null && (worst === null || found.sigma > worst)) worst = found.sigma;
    }
    const main = GRAVITY.find((verdict) => counts[verdict]) || "none";
    // what the verdict filter leaves out was run all the same
    return { counts, worst, main, nothing: ran ? "none" : "not run" };
  }

  // ---------------------------------------------------------------- the state is the address

  const EMPTY = { view: "", q: "", topic: "", verdict: "", dtype: "", direction: "", clause: "", case: "", run: "" };
  let state = { ...EMPTY };

  function readAddress() {
    const found = { ...EMPTY };
    // a + in an address is a plus here: ids hold no spaces
    for (const [name, value] of new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"))) {
      if (name in found) found[name] = value;
    }
    return found;
  }

  function address(wanted) {
    const words = Object.entries(wanted).filter(([, value]) => value);
    return "#" + words.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  }

  // a link keeps the filters and replaces what is open
  const link = (open) => address({ ...state, clause: "", case: "", run: "", ...open });

  function go(change, { replace = false } = {}) {
    const wanted = address({ ...state, ...change });
    if (wanted === address(state)) return;
    history[replace ? "replaceState" : "pushState"](null, "", wanted);
    apply();
  }

  function apply() {
    const before = state;
    state = readAddress();
    const opened = (s) => [s.clause, s.case, s.run].join("\n");
    const shown = (s) => [s.view, s.q, s.topic, s.verdict, s.dtype, s.direction].join("\n");
    if (shown(before) !== shown(state) || !byId("table").firstChild) {
      fillForm();
      drawTable();
    }
    if (opened(before) !== opened(state)) drawPanel();
  }

  // ---------------------------------------------------------------- filters

  const form = byId("filters");

  function matchesVerdict(verdict) {
    if (state.verdict === "not passed") return data.failed.includes(verdict);
    return verdict === state.verdict;
  }

  function wantsCase(each) {
    if (state.dtype && each.dtype !== state.dtype) return false;
    if (state.direction && each.vjp !== (state.direction === "vjp")) return false;
    if (!state.verdict) return true;
    return runs.some((run) => run.results.has(each.index) && matchesVerdict(run.results.get(each.index).verdict));
  }

  function rowsOfTable() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (const [topic, members] of topics) {
      if (state.topic && topic !== state.topic) continue;
      const rows = [];
      for (const clause of members) {
        const name = clause.id.toLowerCase();
        const indices = clause.cases.filter(
          (index) =>
            wantsCase(cases[index]) && words.every((word) => name.includes(word) || cases[index].text.includes(word)),
        );
        if (indices.length) rows.push({ clause, indices });
      }
      if (rows.length) found.push({ topic, rows, indices: [...new Set(rows.flatMap((row) => row.indices))] });
    }
    return found;
  }

  function fillForm() {
    for (const name of ["q", "topic", "verdict", "dtype", "direction"]) {
      // not while someone types in it: the cursor would jump
      if (form.elements[name].value !== state[name]) form.elements[name].value = state[name];
    }
    for (const radio of form.elements.view) radio.checked = radio.value === (state.view || "verdicts");
    byId("reset").disabled = !(state.q || state.topic || state.verdict || state.dtype || state.direction);
  }

  function prepareForm() {
    const options = (name, values) =>
      form.elements[name].append(...values.map((value) => element("option", { value }, value)));
    const present = VERDICTS.filter((verdict) =>
      runs.some((run) => [...run.results.values()].some((r) => r.verdict === verdict)),
    );
    options("topic", [...topics.keys()]);
    options("verdict", ["not passed", ...present]);
    options("dtype", [...new Set(cases.map((each) => each.dtype))].sort());
    for (const name of ["topic", "verdict", "dtype", "direction"]) {
      form.elements[name].addEventListener("change", (event) => go({ [name]: event.target.value }));
    }
    let waiting = 0;
    form.elements.q.addEventListener("input", (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => go({ q: event.target.value.trim() }, { replace: true }), 150);
    });
    for (const radio of form.elements.view) {
      radio.addEventListener("change", () => go({ view: radio.value === "verdicts" ? "" : radio.value }));
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    byId("reset").addEventListener("click", () => {
      go({ q: "", topic: "", verdict: "", dtype: "", direction: "" });
      form.elements.q.focus();
    });
    form.hidden = false;
    byId("line").hidden = false;
  }

  // ---------------------------------------------------------------- the table

  const folded = new Set();
  let shownRows = [];

  function verdictCell(found, column, label) {
    const { counts, main, nothing } = found;
    const rest = VERDICTS.filter((verdict) => counts[verdict] && verdict !== main);
    const text = main === "none" ? nothing : `${count(counts[main])} ${main}`;
    return element(
      "button",
      { type: "button", class: `cell v-${main}`, "data-column": column, tabindex: -1 },
      element(
        "span",
        { class: "mainly" },
        element("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[main]),
        text,
      ),
      rest.length ? element("span", { class: "rest" }, hidden(", "), listed(rest, counts)) : null,
      hidden(`; ${label}`),
    );
  }

  const listed = (verdicts, counts) =>
    verdicts.map((verdict, index) => [index ? ", " : "", element("span", {}, `${count(counts[verdict])} ${verdict}`)]);

  const stepOf = (error) => STEPS.findIndex((end) => error <= end);

  function errorCell(found, column, label) {
    const { counts, main, worst, nothing } = found;
    const broken = ["crash", "timeout", "error"].filter((verdict) => counts[verdict]);
    const properties = { type: "button", "data-column": column, tabindex: -1 };
    if (worst === null) {
      const text = main === "none" ? nothing : main;
      return element(
        "button",
        { ...properties, class: `cell unmeasured v-${main}` },
        element("span", { "aria-hidden": "true" }, `${SYMBOLS[main]} `),
        text,
        hidden(`; ${label}`),
      );
    }
    const beyond = worst > data.k;
    return element(
      "button",
      { ...properties, class: `cell heat h${stepOf(worst)}${beyond ? " beyond" : ""}` },
      beyond ? element("span", { "aria-hidden": "true" }, "▲ ") : null,
      sigma(worst),
      hidden(` sigma${beyond ? ", beyond the limit" : ""}`),
      broken.length ? element("span", { class: "rest" }, hidden(", "), listed(broken, counts)) : null,
      hidden(`; ${label}`),
    );
  }

  function drawTable() {
    const groups = rowsOfTable();
    const cell = state.view === "errors" ? errorCell : verdictCell;
    const kept = byId("table").querySelector("button[tabindex='0']");
    const at = kept && { row: kept.closest("tr").dataset.row, column: kept.dataset.column };
    const cells = (indices, name) =>
      runs.map((run) => element("td", {}, cell(tally(run, indices), run.index + 1, `${run.label}, ${name}`)));
    const bodies = groups.map(({ topic, rows, indices }) => {
      const open = !folded.has(topic);
      const head = element(
        "tr",
        { class: "topic", "data-row": topic },
        element(
          "th",
          { scope: "rowgroup" },
          element(
            "button",
            {
              type: "button",
              class: "id",
              "data-column": 0,
              "data-fold": topic,
              "aria-expanded": String(open),
              tabindex: -1,
            },
            element("span", { class: "fold", "aria-hidden": "true" }, "▸"),
            topic,
            element("span", { class: "tag" }, plural(rows.length, "clause")),
          ),
        ),
        cells(indices, topic),
      );
      const members = rows.map(({ clause, indices: members }) =>
        element(
          "tr",
          { "data-row": clause.id, hidden: !open },
          element(
            "th",
            { scope: "row" },
            element(
              "button",
              { type: "button", class: "id", "data-column": 0, tabindex: -1 },
              clause.id.startsWith(`${topic}.`)
                ? [element("span", { class: "topic" }, `${topic}.`), element("wbr"), clause.id.slice(topic.length + 1)]
                : clause.id,
              clause.status === "normative" ? null : element("span", { class: "tag" }, clause.status),
            ),
          ),
          cells(members, clause.id),
        ),
      );
      return element("tbody", {}, head, members);
    });
    const table = element(
      "table",
      { "aria-describedby": "hint" },
      element(
        "caption",
        { class: "hidden" },
        state.view === "errors" ? "Worst error in sigma by clause and backend" : "Verdicts by clause and backend",
      ),
      element(
        "colgroup",
        {},
        element("col", { class: "first" }),
        runs.map(() => element("col")),
      ),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          element("th", { scope: "col" }, "Clause"),
          runs.map((run) => element("th", { scope: "col" }, run.label)),
        ),
      ),
      bodies,
    );
    table.style.setProperty("--columns", runs.length);
    const empty = element(
      "p",
      { class: "empty" },
      cases.length ? "No case matches these filters." : "These runs hold no results.",
    );
    byId("table").replaceChildren(groups.length ? table : empty);
    shownRows = groups;
    drawLegend();
    collectRows();
    makeCurrent((at && cellAt(at.row, at.column)) || byId("table").querySelector("button"));
    announce();
  }

  function announce() {
    const clauseCount = shownRows.reduce((sum, group) => sum + group.rows.length, 0);
    const caseCount = new Set(shownRows.flatMap((group) => group.indices)).size;
    byId("status").textContent =
      `${count(clauseCount)} of ${plural(clauses.length, "clause")}, ${count(caseCount)} of ${plural(cases.length, "case")}`;
    const all = shownRows.length > 0 && shownRows.every((group) => folded.has(group.topic));
    byId("fold").textContent = all ? "Expand all topics" : "Collapse all topics";
    byId("fold").disabled = !shownRows.length;
  }

  function drawLegend() {
    const legend = byId("legend");
    legend.hidden = state.view !== "errors";
    if (legend.hidden || legend.firstChild) return;
    const steps = STEPS.map((end, step) => {
      const text =
        step === 0
          ? "0"
          : end === Infinity
            ? "∞"
            : end === 1e299
              ? "more"
              : `≤ ${end > 1e4 ? end.toExponential(0).replace("e+", "e") : end}`;
      const beyond = end > data.k;
      return element("li", { class: `h${step}${step === 5 ? " limit" : ""}` }, beyond ? "▲ " : "", text);
    });
    legend.append(
      element(
        "p",
        {},
        `Worst error of any element, in sigma, on a log scale. Up to ${data.k} passes; ▲ is beyond. ∞ is an error that no budget could excuse, such as NaN for a number.`,
      ),
      element("ol", { "aria-label": "Colours of the heat map" }, steps),
    );
  }

  function fold(names, closed) {
    for (const name of names) closed ? folded.add(name) : folded.delete(name);
    for (const head of byId("table").querySelectorAll("tr.topic")) {
      const open = !folded.has(head.dataset.row);
      head.querySelector("[data-fold]").setAttribute("aria-expanded", String(open));
      for (const row of head.parentNode.querySelectorAll("tr:not(.topic)")) row.hidden = !open;
    }
    collectRows();
    const current = byId("table").querySelector("button[tabindex='0']");
    if (current && current.closest("tr").hidden) makeCurrent(current.closest("tbody").querySelector("button"));
    announce();
  }

  function openCell(button) {
    if (button.dataset.fold) return fold([button.dataset.fold], !folded.has(button.dataset.fold));
    const column = Number(button.dataset.column);
    go({ clause: button.closest("tr").dataset.row, case: "", run: column ? runs[column - 1].label : "" });
  }

  // ---------------------------------------------------------------- keys in the table

  let grid = [];

  function collectRows() {
    grid = [...byId("table").querySelectorAll("tbody tr:not([hidden])")].map((row) => [
      ...row.querySelectorAll("button"),
    ]);
  }

  function cellAt(row, column) {
    const found = [...byId("table").querySelectorAll("tbody tr")].find(
      (each) => each.dataset.row === row && !each.hidden,
    );
    return found ? found.querySelectorAll("button")[column || 0] : null;
  }

  function makeCurrent(button) {
    for (const other of byId("table").querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
    if (button) button.tabIndex = 0;
  }

  function move(event) {
    const button = event.target.closest("button");
    if (!button || event.altKey || event.metaKey || event.shiftKey) return;
    const row = grid.findIndex((buttons) => buttons.includes(button));
    if (row < 0) return;
    const column = grid[row].indexOf(button);
    const last = grid[row].length - 1;
    const far = event.ctrlKey;
    const targets = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      PageUp: [Math.max(0, row - 10), column],
      PageDown: [Math.min(grid.length - 1, row + 10), column],
      Home: [far ? 0 : row, 0],
      End: [far ? grid.length - 1 : row, last],
    };
    const target = targets[event.key];
    if (!target || (far && !["Home", "End"].includes(event.key))) return;
    event.preventDefault();
    const wanted = grid[target[0]]?.[target[1]];
    if (!wanted) return;
    makeCurrent(wanted);
    wanted.focus({ preventScroll: true });
    show(wanted);
  }

  // the sticky head and first column would cover a cell that is only just within the box
  function show(button) {
    const box = byId("table");
    const outer = box.getBoundingClientRect();
    const head = box.querySelector("thead th").getBoundingClientRect();
    const cell = button.getBoundingClientRect();
    const top = outer.top + head.height;
    if (cell.top < top) box.scrollTop -= top - cell.top;
    else if (cell.bottom > outer.top + box.clientHeight) box.scrollTop += cell.bottom - outer.top - box.clientHeight;
    if (Number(button.dataset.column)) {
      const left = outer.left + head.width;
      if (cell.left < left) box.scrollLeft -= left - cell.left;
      else if (cell.right > outer.left + box.clientWidth) box.scrollLeft += cell.right - outer.left - box.clientWidth;
    }
    if (outer.top < 0 || outer.bottom > innerHeight) button.scrollIntoView({ block: "nearest" });
  }

  // ---------------------------------------------------------------- the panel

  const panel = byId("panel");
  let open = false;
  let opener = null;

  const verdictText = (found) =>
    element(
      "span",
      { class: `verdict v-${found ? found.verdict : "none"}` },
      element("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[found ? found.verdict : "none"]),
      found ? found.verdict : "not run",
      found && found.sigma !== null ? ` ${sigma(found.sigma)} σ` : "",
    );

  function drawPanel() {
    if (!state.clause && !state.case) return closePanel();
    if (!open) opener = document.activeElement;
    const content = state.case ? casePanel(state.case) : listPanel(state.clause);
    panel.replaceChildren(
      element(
        "div",
        { class: "panel-head" },
        element("div", {}, content.above, element("h2", { id: "panel-title", tabindex: -1 }, content.title)),
        element("button", { type: "button", click: () => go({ clause: "", case: "", run: "" }) }, "Close"),
      ),
      element("div", { class: "panel-body" }, content.body),
    );
    if (!panel.open) panel.showModal();
    open = true;
    panel.scrollTop = 0;
    byId("panel-title").focus({ preventScroll: true });
  }

  function closePanel() {
    if (!open) return;
    open = false;
    panel.close();
    const known = opener && opener.isConnected && opener !== document.body;
    const target =
      (known ? opener : cellAt(lastOpened.row, lastOpened.column)) ||
      byId("table").querySelector("button[tabindex='0']");
    if (!target) return;
    target.focus({ preventScroll: true });
    if (byId("table").contains(target)) {
      makeCurrent(target);
      show(target);
    }
  }

  // where to put the focus back when a panel was opened by its address
  let lastOpened = { row: "", column: 0 };

  function remember(name) {
    const run = runs.findIndex((each) => each.label === state.run);
    lastOpened = { row: name, column: run + 1 };
  }

  const missing = (what, name) => ({
    above: element("p", {}, `No such ${what}`),
    title: name,
    body: element("p", { class: "notice" }, `None of these runs has a ${what} of this name.`),
  });

  function diagnosesOf(topic, only) {
    const found = runs.flatMap((run) =>
      run.diagnoses
        .filter((text) => text.startsWith(`${topic}:`) && (!only || only(run)))
        .map((text) => element("p", { class: "diagnosis" }, element("strong", {}, run.label), " ", text)),
    );
    return found.length ? [element("h3", {}, `Diagnosis of the failing cases of ${topic}`), found] : [];
  }

  function listPanel(name) {
    const clause = clauseById.get(name);
    if (!clause && !topics.has(name)) return missing("clause", name);
    remember(name);
    const chosen = runs.find((run) => run.label === state.run);
    const all = clause ? clause.cases : [...new Set(topics.get(name).flatMap((each) => each.cases))];
    const group = shownRows.find((each) => each.topic === (clause ? clause.topic : name));
    const matching = group && (clause ? group.rows.find((row) => row.clause === clause)?.indices : group.indices);
    const shown = new Set(matching || []);
    const gravity = (found) => (found ? GRAVITY.indexOf(found.verdict) : GRAVITY.length);
    const judged = (index) => (chosen ? [chosen] : runs).map((run) => run.results.get(index));
    const key = (index) => {
      const found = judged(index);
      return [Math.min(...found.map(gravity)), -Math.max(...found.map((each) => each?.sigma ?? -1))];
    };
    const keys = new Map(all.map((index) => [index, key(index)]));
    const sorted = all
      .filter((index) => shown.has(index))
      .sort((a, b) => keys.get(a)[0] - keys.get(b)[0] || keys.get(a)[1] - keys.get(b)[1] || a - b);
    const left = all.length - sorted.length;
    const order = chosen ? [chosen, ...runs.filter((run) => run !== chosen)] : runs;
    return {
      above: element(
        "p",
        {},
        clause ? `Clause · ${clause.topic} · ${clause.status}` : "Topic",
        chosen ? ` · ${chosen.label} first` : "",
      ),
      title: name,
      body: [
        clause ? clauseFacts(clause) : [],
        diagnosesOf(clause ? clause.topic : name, chosen && ((run) => run === chosen)),
        element("h3", {}, plural(sorted.length, "case")),
        left
          ? element(
              "p",
              { class: "quiet" },
              `The filters leave out ${plural(left, "case")}. `,
              element("a", { href: address({ view: state.view, clause: name, run: state.run }) }, "Clear the filters"),
            )
          : null,
        element(
          "div",
          { class: "scroll", tabindex: 0, role: "region", "aria-label": "Cases" },
          element(
            "table",
            { class: "list" },
            element(
              "thead",
              {},
              element(
                "tr",
                {},
                element("th", { scope: "col" }, "Case"),
                order.map((run) => element("th", { scope: "col", class: run === chosen && "chosen" }, run.label)),
              ),
            ),
            element(
              "tbody",
              {},
              sorted.map((index) =>
                element(
                  "tr",
                  {},
                  element(
                    "th",
                    { scope: "row" },
                    element(
                      "a",
                      { href: link({ clause: name, case: cases[index].id, run: state.run }) },
                      cases[index].id,
                    ),
                    cases[index].known
                      ? null
                      : element("span", { class: "tag quiet" }, " not in this version of the suite"),
                  ),
                  order.map((run) =>
                    element("td", { class: run === chosen && "chosen" }, verdictText(run.results.get(index))),
                  ),
                ),
              ),
            ),
          ),
        ),
      ],
    };
  }

  function clauseFacts(clause) {
    const equation = clause.equations.map((markup) => {
      // from the spec of this package, not from a report
      const parsed = new DOMParser().parseFromString(markup, "application/xml").documentElement;
      return document.importNode(parsed, true);
    });
    return [
      equation.length
        ? element(
            "div",
            { class: "equation scrolling", tabindex: 0, role: "region", "aria-label": `Equation of ${clause.id}` },
            equation,
          )
        : null,
      clause.operation
        ? element(
            "p",
            { class: "quiet" },
            `Section ${clause.id} of spec/${clause.topic}.md. Text, reference code and cases:`,
          )
        : null,
      clause.operation ? element("code", { class: "command" }, `nnspec show ${clause.id}`) : null,
    ];
  }

  function casePanel(id) {
    const each = caseById.get(id);
    if (!each) return missing("case", id);
    const clause = clauseById.get(state.clause) || (topics.has(state.clause) ? null : each.clauses[0]);
    remember(clause ? clause.id : state.clause);
    const chosen = runs.find((run) => run.label === state.run);
    const order = chosen ? [chosen, ...runs.filter((run) => run !== chosen)] : runs;
    const back = clause ? clause.id : state.clause;
    // a crash or an error gave no outputs that a diagnosis could compare
    const off = (run) => run.results.get(each.index)?.verdict === "fail";
    return {
      above: element("p", {}, "Case of ", element("a", { href: link({ clause: back, run: state.run }) }, back)),
      title: id,
      body: [
        each.known
          ? null
          : element(
              "p",
              { class: "notice" },
              "This version of the suite does not have this case: its note, inputs and truth are not known here.",
            ),
        each.note ? element("p", {}, element("strong", {}, "There to catch: "), each.note) : null,
        element(
          "dl",
          { class: "facts" },
          fact("Operation", element("code", {}, each.operation)),
          fact("Dtype", each.dtype),
          each.flags?.length ? fact("Flags", each.flags.join(", ")) : null,
          fact(
            "Clauses",
            each.clauses.flatMap((c, i) => [
              i ? ", " : "",
              element("a", { href: link({ clause: c.id, run: state.run }) }, c.id),
            ]),
          ),
          Object.entries(each.attributes || {}).map(([name, value]) => fact(name, element("code", {}, number(value)))),
        ),
        element("h3", {}, "Verdicts"),
        element(
          "div",
          { class: "scroll", tabindex: 0, role: "region", "aria-label": "Verdicts" },
          element(
            "table",
            { class: "list verdicts" },
            element(
              "thead",
              {},
              element(
                "tr",
                {},
                ["Backend", "Verdict", "σ", "ulp", "Worst at", "Got", "Truth"].map((text, at) =>
                  element("th", { scope: "col", class: at > 1 && at !== 4 && "number" }, text),
                ),
              ),
            ),
            element(
              "tbody",
              {},
              order.map((run) => verdictRow(run, run.results.get(each.index), run === chosen)),
            ),
          ),
        ),
        each.clauses.length ? diagnosesOf(each.clauses[0].topic, off) : [],
        arraysOf(each, order),
        element("h3", {}, "Run it again"),
        order
          .filter((run) => run.results.has(each.index))
          .map((run) =>
            element(
              "p",
              {},
              element("code", { class: "command" }, `nnspec explain ${each.id} --backend ${quoted(run.backend)}`),
            ),
          ),
      ],
    };
  }

  const fact = (name, value) => [element("dt", {}, name), element("dd", {}, value)];
  const quoted = (word) => (/^[\w.,:\/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

  function verdictRow(run, found, chosen) {
    const cell = (text, kind = "number") => element("td", { class: kind }, text);
    return element(
      "tr",
      { class: chosen && "chosen" },
      element("th", { scope: "row" }, run.label),
      element(
        "td",
        {},
        element(
          "span",
          { class: `v-${found ? found.verdict : "none"}` },
          element("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[found ? found.verdict : "none"]),
          found ? found.verdict : "not run",
        ),
        found && found.reason ? element("span", { class: "reason" }, hidden(": "), found.reason) : null,
      ),
      cell(found && found.sigma !== null ? sigma(found.sigma) : ""),
      cell(found && found.ulp !== null ? sigma(found.ulp) : ""),
      cell(found ? found.place : "", "verdict"),
      cell(found ? number(found.got) : ""),
      cell(found ? number(found.want) : ""),
    );
  }

  // ---------------------------------------------------------------- arrays

  const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);
  const shapeText = (shape) => (shape.length ? `(${shape.join(", ")}${shape.length === 1 ? "," : ""})` : "a scalar");

  function indexText(flat, shape) {
    const index = [];
    for (let axis = shape.length - 1, rest = flat; axis >= 0; axis -= 1) {
      index.unshift(rest % shape[axis]);
      rest = Math.floor(rest / shape[axis]);
    }
    return shape.length ? `[${index.join(", ")}]` : "";
  }

  const leftOut = (number, size) => `${plural(number, "element")} of ${count(size)} left out`;

  // as nested rows where all of it is there, else part by part
  function arrayText(array) {
    const size = sizeOf(array.shape);
    const [first] = array.parts;
    if (!size) return "no elements";
    if (array.parts.length === 1 && first[1].length === size) {
      const words = first[1].map(number);
      const width = Math.max(...words.map((word) => word.length));
      const rowLength = array.shape.length ? array.shape[array.shape.length - 1] : 1;
      const planeLength = array.shape.length > 1 ? rowLength * array.shape[array.shape.length - 2] : size;
      const lines = [];
      for (let at = 0; at < size; at += rowLength) {
        if (array.shape.length > 2 && at % planeLength === 0) {
          lines.push(`${at ? "\n" : ""}${indexText(at, array.shape).replace(/\d+, \d+\]$/, ":, :]")}`);
        }
        lines.push(
          words
            .slice(at, at + rowLength)
            .map((word) => word.padStart(width))
            .join("  "),
        );
      }
      return lines.join("\n");
    }
    const lines = [];
    let at = 0;
    for (const [start, values] of array.parts) {
      if (start > at) lines.push(`… ${leftOut(start - at, size)}`);
      lines.push(`${indexText(start, array.shape)}  ${values.map(number).join("  ")}`);
      at = start + values.length;
    }
    if (at < size) lines.push(`… ${leftOut(size - at, size)}`);
    return lines.join("\n");
  }

  const arrayBlock = (name, array) =>
    element(
      "div",
      { class: "array" },
      element("h4", {}, `${name} `, element("span", { class: "quiet" }, `${array.dtype} ${shapeText(array.shape)}`)),
      element("pre", { tabindex: 0, role: "region", "aria-label": `Array ${name}` }, arrayText(array)),
    );

  function arraysOf(each, order) {
    const found = data.arrays[each.index];
    if (!found) {
      return each.known
        ? element(
            "p",
            { class: "quiet" },
            "Inputs and truth are in this page for the cases that some backend did not pass; the command below prints them for this one.",
          )
        : [];
    }
    return [
      element("h3", {}, "Outputs"),
      Object.entries(found.outputs).map(([name, output]) => outputBlock(each, name, output, order)),
      element("h3", {}, "Inputs"),
      Object.entries(found.inputs).map(([name, array]) => arrayBlock(name, array)),
    ];
  }

  function outputBlock(each, name, output, order) {
    const size = sizeOf(output.shape);
    const columns = order.filter((run) => output.got[run.index]);
    const silent = order.filter(
      (run) =>
        ["fail", "deviation"].includes(run.results.get(each.index)?.verdict) &&
        !output.got[run.index] &&
        !output.other[run.index],
    );
    const worst = columns.map((run) => {
      const { errors } = output.got[run.index];
      return Math.max(...errors.flatMap(([, values]) => values));
    });
    const rows = [];
    const gap = (number) =>
      element("tr", { class: "gap" }, element("td", { colspan: 2 + 2 * columns.length }, `… ${leftOut(number, size)}`));
    let at = 0;
    output.parts.forEach(([start, values], part) => {
      if (start > at) rows.push(gap(start - at));
      values.forEach((truth, offset) => {
        const pairs = columns.map((run) => {
          const got = output.got[run.index];
          return [got.values[part][1][offset], got.errors[part][1][offset]];
        });
        rows.push(
          element(
            "tr",
            {},
            element("th", { scope: "row" }, `${name}${indexText(start + offset, output.shape)}`),
            element("td", { class: "number" }, number(truth)),
            pairs.map(([got, error], column) => {
              const isWorst = error === worst[column] && error > data.k;
              const kind = `number${error > data.k ? " off" : ""}${isWorst ? " worst" : ""}`;
              return [
                element("td", { class: kind }, number(got)),
                element("td", { class: kind }, sigma(error), isWorst ? " ◀ worst" : ""),
              ];
            }),
          ),
        );
      });
      at = start + values.length;
    });
    if (at < size) rows.push(gap(size - at));
    const table = element(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": `Output ${name}` },
      element(
        "table",
        { class: "list elements" },
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            element("th", { scope: "col" }, "Element"),
            element("th", { scope: "col", class: "number" }, "Truth"),
            columns.map((run) => [
              element("th", { scope: "col", class: "number" }, run.label),
              element("th", { scope: "col", class: "number" }, "error in σ", hidden(` ${run.label}`)),
            ]),
          ),
        ),
        element("tbody", {}, rows),
      ),
    );
    return [
      element("h4", {}, `${name} `, element("span", { class: "quiet" }, shapeText(output.shape))),
      size ? table : element("p", { class: "quiet" }, "No elements."),
      silent.length
        ? element(
            "p",
            { class: "quiet" },
            `The report of ${silent.map((run) => run.label).join(" and ")} does not hold what was returned, only the worst element above.`,
          )
        : null,
      Object.entries(output.other).map(([run, array]) =>
        arrayBlock(`${name} of ${runs[run].label}, of another shape:`, array),
      ),
    ];
  }

  // ---------------------------------------------------------------- the theme

  function prepareTheme() {
    const button = byId("theme");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const root = document.documentElement;
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
    const draw = () => button.setAttribute("aria-pressed", String(isDark()));
    // a browser may refuse storage to a file
    try {
      const kept = localStorage.getItem("nnspec-theme");
      if (kept === "dark" || kept === "light") root.dataset.theme = kept;
    } catch {}
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("nnspec-theme", root.dataset.theme);
      } catch {}
      draw();
    });
    dark.addEventListener("change", draw);
    draw();
    button.hidden = false;
  }

  // ---------------------------------------------------------------- start

  prepareTheme();
  prepareForm();
  byId("table").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    makeCurrent(button);
    openCell(button);
  });
  byId("table").addEventListener("keydown", move);
  // the address holds the state, so this link must not change it
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    const current = byId("table").querySelector("button[tabindex='0']") || byId("table");
    current.scrollIntoView({ block: "center" });
    current.focus();
  });
  byId("fold").addEventListener("click", () => {
    const names = shownRows.map((group) => group.topic);
    fold(names, !names.every((name) => folded.has(name)));
  });
  // Escape closes the dialog by itself; the address follows
  panel.addEventListener("close", () => go({ clause: "", case: "", run: "" }));
  panel.addEventListener("click", (event) => {
    if (event.target === panel) go({ clause: "", case: "", run: "" });
  });
  addEventListener("popstate", apply);
  addEventListener("hashchange", apply);
  apply();
})();
