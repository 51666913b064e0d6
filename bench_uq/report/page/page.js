"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const datasets = [...new Set(data.groups.map((group) => group.dataset))];
  const datasetNames = datasets.map((name) => data.groups.find((group) => group.dataset === name).datasetName);
  const byId = (id) => document.getElementById(id);

  // Text and attributes alone: nothing that a name says can become an element.
  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function drawn(name, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // ---- The rows and columns of the leaderboard.

  const rows = data.rows.map(([group, method, cells], place) => ({
    ...data.groups[group],
    group,
    method,
    name: data.methods[method].name,
    seeds: data.seeds[datasets.indexOf(data.groups[group].dataset)][method],
    cells: new Map(cells.map(([metric, ...cell]) => [metric, cell])),
    place,
  }));

  const placeColumns = [
    { key: "method", label: "Method", value: (row) => row.name.toLowerCase(), fill: fillMethod },
    { key: "dataset", label: "Dataset", value: (row) => row.dataset, fill: (cell, row) => cell.append(row.datasetName) },
    { key: "condition", label: "Condition", value: (row) => row.condition, fill: (cell, row) => cell.append(row.conditionName) },
    { key: "level", label: "Level", number: true, value: (row) => row.level, fill: fillLevel },
    { key: "seeds", label: "Seeds", value: (row) => row.seeds.finished, fill: fillSeeds },
  ];
  const metricColumns = data.metrics.map((metric, place) => ({
    key: metric.id,
    label: metric.label,
    metric,
    number: true,
    value: (row) => row.cells.get(place)?.[0] ?? null,
    fill: (cell, row) => fillScore(cell, row.cells.get(place)),
  }));

  function fillMethod(cell, row) {
    cell.append(element("button", { type: "button", class: "method", "data-method": row.method, "data-dataset": row.dataset }, ...breakable(row.name)));
    if (row.seeds.marked) cell.append(" †");
  }

  // Long names break after the signs that part them; a <wbr> is no text.
  function breakable(name) {
    return name.split(/(?<=[\[,])/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
  }

  function fillLevel(cell, row) {
    cell.append(row.level === null ? "–" : String(row.level));
  }

  function fillSeeds(cell, row) {
    // On a narrow screen the note is out of sight, and a sign stands in its place.
    cell.append(element("span", row.seeds.marked ? { class: "loose" } : {}, row.seeds.text));
    if (!row.seeds.note) return;
    cell.title = row.seeds.note;
    cell.append(element("span", { class: "note" }, ` · ${row.seeds.note}`));
  }

  function fillScore(cell, score) {
    if (!score) return cell.append("–");
    const [, mean, spread, values, mark] = score;
    const kind = ["", "strong", "em"][mark];
    cell.append(kind ? element(kind, {}, mean) : mean || "–");
    const rest = [spread ? `± ${spread}` : "", values && `(${values})`].filter(Boolean).join(" ");
    if (rest) cell.append(" ", element("span", { class: "spread" }, rest));
  }

  // ---- Filters: what is shown follows from the controls, and the controls offer what there is.

  const controls = Object.fromEntries(["dataset", "condition", "level", "metric", "method"].map((name) => [name, byId(`filter-${name}`)]));
  const ALL = "all";
  const order = { column: null, down: false };

  function offer(select, choices) {
    const before = select.value;
    select.replaceChildren(...choices.map(([value, label]) => element("option", { value }, label)));
    select.value = choices.some(([value]) => value === before) ? before : choices[0][0];
  }

  // Values are prefixed, so that a name that is "all" is not taken for all.
  const chosen = (select, value) => select.value === ALL || select.value === `=${value}`;
  const options = (values, all, label = (value) => String(value ?? "none")) => [[ALL, all], ...values.map((value) => [`=${value}`, label(value)])];

  function offerAll() {
    offer(controls.dataset, options(datasets, "all datasets", (name) => datasetNames[datasets.indexOf(name)]));
    const there = data.groups.filter((group) => chosen(controls.dataset, group.dataset));
    offer(controls.condition, options([...new Set(there.map((group) => group.condition))], "all conditions", (name) => data.groups.find((group) => group.condition === name).conditionName));
    const left = there.filter((group) => chosen(controls.condition, group.condition));
    const levels = [...new Set(left.map((group) => group.level))].sort((one, other) => (one ?? -1) - (other ?? -1));
    offer(controls.level, options(levels, "all levels"));
  }

  function offerMetrics() {
    const one = data.metrics.map((metric) => [`=${metric.id}`, metric.label === metric.id ? metric.id : `${metric.label} (${metric.id})`]);
    offer(controls.metric, [["main", "main metrics"], [ALL, "all metrics"], ...one]);
  }

  function shownRows() {
    const part = controls.method.value.trim().toLowerCase();
    return rows.filter(
      (row) =>
        chosen(controls.dataset, row.dataset) &&
        chosen(controls.condition, row.condition) &&
        chosen(controls.level, row.level) &&
        row.name.toLowerCase().includes(part),
    );
  }

  function isChosen(metric) {
    if (controls.metric.value === "main") return metric.main;
    return chosen(controls.metric, metric.id);
  }

  // What every row shares is said above the table; what no row has is left out, but never all of it.
  function shownColumns(found) {
    const varied = (column) => new Set(found.map(column.value)).size > 1;
    const named = placeColumns.filter(
      (column) => ["method", "seeds"].includes(column.key) || (column.key === "level" ? found.some((row) => row.level !== null) : varied(column)),
    );
    const asked = metricColumns.filter(({ metric }) => isChosen(metric) || (metric.after !== null && isChosen(data.metrics[metric.after])));
    const filled = asked.filter((column, place) => {
      const owner = column.metric.after === null ? column : metricColumns[column.metric.after];
      return found.some((row) => owner.value(row) !== null || column.value(row) !== null);
    });
    return [...named, ...(filled.length ? filled : asked.slice(0, 3))];
  }

  // ---- The table: built when the filters change, only put in another order when a column is clicked.

  const table = byId("scores");
  // The roles say what the elements are by name, since they are laid out as boxes.
  const [head, foot] = ["thead", "tfoot"].map((name) => element(name, { role: "rowgroup" }));
  const BLOCK = 40; // rows that come into sight together
  let entries = [];
  let said = { rows: "", verdicts: "" };

  function header(column) {
    const text = column.label + (column.metric?.arrow ? ` ${column.metric.arrow}` : "");
    const sign = element("span", { class: "sorted", "aria-hidden": "true" });
    // On the side that leaves the text above its numbers.
    const button = element("button", { type: "button" }, ...(column.number ? [sign, text] : [text, sign]));
    if (column.metric) button.title = column.metric.title;
    button.addEventListener("click", () => sortBy(column));
    return element("th", { scope: "col", role: "columnheader", "data-key": column.key, class: column.number ? "number" : "text" }, button);
  }

  function line(row, columns) {
    const made = element("tr", row.seeds.finished ? { role: "row" } : { role: "row", class: "failed" });
    for (const column of columns) {
      const cell = column.key === "method" ? element("th", { scope: "row", role: "rowheader" }) : element("td", { role: "cell" });
      if (column.number) cell.className = "number";
      column.fill(cell, row);
      made.append(cell);
    }
    return made;
  }

  function show() {
    const found = shownRows();
    const columns = shownColumns(found);
    if (order.column && !columns.some((column) => column.key === order.column.key)) order.column = null;
    head.replaceChildren(element("tr", { role: "row" }, ...columns.map(header)));
    entries = found.map((row) => ({ row, line: line(row, columns) }));
    table.classList.toggle("many", found.length > 400);
    showDetectable(found, columns);
    setWidths(columns);
    arrange();
    table.parentElement.scrollTo(0, 0);
    said = { rows: rowsPhrase(found), verdicts: verdictPhrase(found, columns) };
    say();
  }

  // Each column is as wide as its longest text: rows that are out of sight are not measured by the browser.
  function setWidths(columns) {
    const lines = [...entries.map((entry) => entry.line), ...foot.children];
    const limits = { method: 34, seeds: 24, dataset: 30, condition: 30 };
    const width = (column, place, text) => {
      const letters = Math.min(limits[column.key] ?? 99, lines.reduce((most, one) => Math.max(most, text(one.children[place]).length), 0));
      // Most letters and all signs are narrower than the digit that the unit ch is the width of; titles are bold.
      const signs = Math.max(0.86 * letters, 0.95 * head.querySelectorAll("th")[place].textContent.length + 1.5).toFixed(1);
      return column.key === "method" ? `min(${signs}ch + 2 * var(--pad), 36vw)` : `${signs}ch + 2 * var(--pad)`;
    };
    const wide = columns.map((column, place) => width(column, place, (cell) => cell.textContent));
    const narrow = columns.map((column, place) => (column.key === "seeds" ? width(column, place, (cell) => `${cell.firstChild?.textContent ?? ""}†`) : wide[place]));
    for (const [end, widths] of [["", wide], ["-narrow", narrow]]) {
      table.style.setProperty(`--columns${end}`, widths.map((one) => `minmax(calc(${one}), 1fr)`).join(" "));
      table.style.setProperty(`--least${end}`, `calc(${widths.join(" + ")})`);
    }
  }

  // Missing values stand last whichever way a column is sorted; equals keep the order of the data.
  function arrange() {
    const { column, down } = order;
    const sorted = entries.map((entry) => ({ entry, value: column ? column.value(entry.row) : null }));
    if (column) {
      sorted.sort((one, other) => {
        if (one.value === null || other.value === null) return (one.value === null) - (other.value === null);
        if (one.value === other.value) return 0;
        return (one.value < other.value ? -1 : 1) * (down ? -1 : 1);
      });
    }
    showLines(sorted.map(({ entry }) => entry.line));
    for (const cell of head.querySelectorAll("th")) {
      const own = column !== null && cell.dataset.key === column.key;
      if (own) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      cell.querySelector(".sorted").textContent = own ? (down ? " ▼ " : " ▲ ") : "";
    }
  }

  function showLines(lines) {
    const bodies = [...table.tBodies];
    for (let first = 0, place = 0; first < lines.length || place < bodies.length; first += BLOCK, place += 1) {
      const block = lines.slice(first, first + BLOCK);
      if (!block.length) {
        bodies[place].remove();
        continue;
      }
      if (place === bodies.length) foot.before(bodies[bodies.push(element("tbody", { role: "rowgroup" })) - 1]);
      bodies[place].replaceChildren(...block);
      bodies[place].style.containIntrinsicBlockSize = `auto ${2.15 * block.length}rem`;  // until it was seen once
    }
  }

  // The first click shows the best first, the next one the other end.
  function sortBy(column) {
    order.down = order.column?.key === column.key ? !order.down : column.metric?.direction === "higher" || column.key === "seeds";
    order.column = column;
    arrange();
    say();
    keepAddress();
  }

  // One score has one detectable difference: it is shown if all rows are of one place.
  function showDetectable(found, columns) {
    foot.replaceChildren();
    if (new Set(found.map((row) => row.group)).size !== 1) return;
    const { verdicts } = found[0];
    const cells = columns.slice(1).map((column) => {
      const known = column.metric && verdicts[data.metrics.indexOf(column.metric)];
      return element("td", { role: "cell", class: column.number ? "number" : "text" }, known ?? "");
    });
    if (cells.some((cell) => cell.textContent)) foot.append(element("tr", { role: "row" }, element("th", { scope: "row", role: "rowheader" }, "Detectable difference"), ...cells));
  }

  function say() {
    const sorted = order.column ? ` Sorted by ${order.column.label}, ${order.down ? "highest" : "lowest"} first.` : "";
    byId("status").textContent = said.rows + sorted + said.verdicts;
  }

  function rowsPhrase(found) {
    const parts = [["dataset", "datasetName"], ["condition", "conditionName"], ["level", "level"]];
    const named = parts.filter(([key]) => new Set(found.map((row) => row[key])).size === 1 && found[0][key] !== null);
    const where = named.length ? `: ${named.map(([key, shown]) => `${key} ${found[0][shown]}`).join(", ")}` : "";
    return `${found.length} of ${rows.length} rows${where}.`;
  }

  function verdictPhrase(found, columns) {
    const places = columns.filter(({ metric }) => metric && metric.direction !== "none").map(({ metric }) => data.metrics.indexOf(metric));
    const scores = new Map();
    for (const row of found) {
      for (const place of places.filter((one) => row.cells.has(one))) scores.set(`${row.group} ${place}`, place in row.verdicts);
    }
    const unknown = [...scores.values()].filter((known) => !known).length;
    if (!unknown) return "";
    const many = unknown === scores.size ? "Nothing is bold" : `Nothing is bold in ${unknown} of ${scores.size} scores`;
    return ` ${many}: a comparison needs two methods that are alike, with at least two seeds in common.`;
  }

  // ---- Curves of a method.

  const dialog = byId("curves");
  const WIDTH = 360;
  const HEIGHT = 230;
  // Height of a row of a chart that has a row for each method.
  const ROW = 14;
  const BOX = { left: 52, right: 348, top: 16, bottom: 186 };
  const GREY = "#b4bac2";

  function openCurves(method, dataset) {
    let other = null;
    const title = element("h2", { id: "curves-title" });
    const close = element("button", { type: "button", "aria-label": "Close" }, "Close");
    const content = element("div");
    const where = element("select", { id: "curves-dataset" });
    const who = element("select", { id: "curves-method" });
    const against = element("select", { id: "curves-against" });
    const names = data.methods.map((one, place) => [String(place), one.name]);
    offer(who, names);
    offer(where, datasetNames.map((name, place) => [String(place), name]));
    offer(against, [["", "none"], ...names]);
    who.value = String(method);
    where.value = String(datasets.indexOf(dataset));
    const update = () => {
      method = Number(who.value);
      other = against.value === "" || against.value === who.value ? null : Number(against.value);
      title.textContent = data.methods[method].name;
      content.replaceChildren(...methodContent(Number(where.value), method, other));
    };
    for (const select of [where, who, against]) select.addEventListener("change", update);
    close.addEventListener("click", () => dialog.close());
    const labelled = [["Method", who], ["Dataset", where], ["Compare with", against]];
    const choice = labelled.map(([label, select]) => element("label", { for: select.id }, label, select));
    dialog.replaceChildren(element("div", { class: "title" }, title, close), element("div", { class: "controls" }, ...choice), content);
    update();
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  function methodContent(dataset, method, other) {
    const has = (chart, one) => chart.lines.some((line) => line.method === one);
    // Of a method without a finished seed there is nothing to see among the others.
    const finished = data.seeds[dataset][method]?.finished > 0;
    const charts = data.charts[dataset].filter((chart) => (finished ? !chart.one || has(chart, method) : has(chart, other)));
    const sections = [...new Set(charts.map((chart) => chart.section))];
    const parts = sections.flatMap((section) => [
      element("h3", {}, section),
      element("div", { class: "charts" }, ...charts.filter((chart) => chart.section === section).map((chart) => figure(chart, dataset, method, other))),
    ]);
    const empty = charts.length || !finished ? [] : [element("p", {}, "No curves are stored for this dataset.")];
    return [element("p", {}, seedsPhrase(dataset, method)), ...(charts.length ? [legend(method, other)] : []), ...parts, ...empty];
  }

  function seedsPhrase(dataset, method) {
    const seeds = data.seeds[dataset][method];
    if (!seeds) return `This method was not run on ${datasetNames[dataset]}.`;
    if (!seeds.finished) return `On ${datasetNames[dataset]}, no seed finished: ${seeds.note}. The table of runs says why.`;
    const rest = seeds.note ? ` (${seeds.note}${seeds.marked ? " †" : ""})` : "";
    return `On ${datasetNames[dataset]}, ${seeds.finished} of ${seeds.planned} seeds finished${rest}. Lines are means over them, bands the range over them.`;
  }

  function legend(method, other) {
    const entry = (look, name) => element("li", {}, drawn("svg", { viewBox: "0 0 42 16", "aria-hidden": "true" }, drawn("path", { d: "M4 8H38", ...look })), name);
    const named = [method, other].filter((one) => one !== null).map((one) => entry(stroke(one), data.methods[one].name));
    const others = data.methods.length > named.length ? [entry({ stroke: GREY, "stroke-width": 1.2 }, "other methods")] : [];
    return element("ul", { class: "legend" }, ...named, ...others);
  }

  const stroke = (method) => ({ stroke: data.methods[method].color, "stroke-width": 2, "stroke-dasharray": data.methods[method].dash || "none", fill: "none" });

  function figure(chart, dataset, method, other) {
    const own = chart.lines.find((line) => line.method === method);
    const planned = data.seeds[dataset][method]?.planned ?? 0;
    const seeds = own && (own.seeds === planned ? `${own.seeds}` : `${own.seeds} of ${planned}`);
    const rests = !own ? `no values of ${data.methods[method].name}` : chart.rests ?? (chart.one ? "one seed" : `${seeds} ${planned === 1 ? "seed" : "seeds"}`);
    const note = chart.note ? `; ${chart.note}` : "";
    const image = plot(chart, method, other);
    image.setAttribute("role", "img");
    image.setAttribute("aria-label", `${chart.title}: ${chart.y}, by ${chart.x}. ${spoken(chart, own)}`);
    return element("figure", {}, element("h4", {}, chart.title), image, element("figcaption", {}, rests + note));
  }

  function spoken(chart, line) {
    const known = line ? line.y.map((y, place) => [data.grids[line.x][place], y]).filter(([, y]) => y !== null) : [];
    if (!known.length) return "No values.";
    const [first, last] = [known[0], known[known.length - 1]];
    return `${short(first[1])} at ${short(first[0])}, ${short(last[1])} at ${short(last[0])}.`;
  }

  const short = (value) => String(Number(value.toPrecision(3)));

  function plot(chart, method, other) {
    return draw(chart, [other, method].filter((one) => one !== null));
  }

  // A curve needs two places: of one place alone there is a row for each method.
  function draw(chart, named) {
    return placesOf(chart).size === 1 ? rowsOf(chart, named) : plotOf(chart, named);
  }

  const placesOf = (chart) => new Set(chart.lines.flatMap((line) => data.grids[line.x]));

  // A row for each method, the best first: its name, its mean with the range over seeds, its number.
  function rowsOf(chart, named) {
    const lines = chart.lines.filter((line) => line.y[0] !== null);
    const sign = chart.title.endsWith("↓") ? 1 : -1;
    lines.sort((one, other) => sign * (one.y[0] - other.y[0]));
    // Names have the room that the longest needs, up to half the picture.
    const longest = Math.max(...lines.map((line) => data.methods[line.method].short.length));
    const box = { left: Math.min(WIDTH / 2, 6.4 * longest + 12), right: WIDTH - 60, top: 16, bottom: 16 + ROW * lines.length };
    const marks = (chart.marks ?? []).filter((mark) => mark.axis === "y");
    const values = lines.flatMap((line) => [...line.y, ...(line.low ?? []), ...(line.high ?? [])]).filter((value) => value !== null);
    const x = scale(padded([...values, ...marks.map((mark) => mark.at)], false), box.left, box.right, false);
    const text = (content, attributes) => drawn("text", attributes, content);
    const image = drawn("svg", { viewBox: `0 0 ${WIDTH} ${box.bottom + 38}` });
    for (const tick of x.ticks) {
      image.append(drawn("path", { d: `M${x(tick)} ${box.top}V${box.bottom}`, stroke: "#e3e6ea", "stroke-width": 0.8 }));
      image.append(text(tickText(tick), { x: x(tick), y: box.bottom + 15, "text-anchor": "middle" }));
    }
    image.append(text(cut(chart.y, 40), { x: (box.left + box.right) / 2, y: box.bottom + 32, "text-anchor": "middle" }));
    for (const mark of marks) {
      image.append(drawn("path", { d: `M${x(mark.at)} ${box.top}V${box.bottom}`, stroke: "#70777f", "stroke-width": 0.8, "stroke-dasharray": "3 3" }));
      image.append(text(mark.name, { x: x(mark.at), y: box.top - 4, "text-anchor": "middle" }));
    }
    lines.forEach((line, place) => {
      const y = box.top + ROW * (place + 0.5);
      const color = named.includes(line.method) ? data.methods[line.method].color : GREY;
      const name = data.methods[line.method].name;
      image.append(text(cut(data.methods[line.method].short, 26), { x: box.left - 8, y: y + 4, "text-anchor": "end" }));
      if (line.low && line.low[0] !== null && line.high[0] !== null) image.append(drawn("path", { d: `M${x(line.low[0])} ${y}H${x(line.high[0])}`, stroke: color, "stroke-width": 2 }));
      image.append(drawn("circle", { cx: x(line.y[0]), cy: y, r: 3.5, fill: color }, drawn("title", {}, name)));
      image.append(text(line.y[0] < 0.001 ? short(line.y[0]) : line.y[0].toPrecision(3), { x: WIDTH - 6, y: y + 4, "text-anchor": "end" }));
    });
    return image;
  }

  // Lines of the named methods in their colours, the last on top; others stay grey.
  function plotOf(chart, named) {
    const values = chart.lines.flatMap((line) => [line.y, line.low ?? [], line.high ?? [], line.beside ?? []].flat()).filter((y) => y !== null);
    const places = chart.lines.flatMap((line) => data.grids[line.x]);
    const marks = chart.marks ?? [];
    const log = Boolean(chart.log) && values.every((value) => value > 0) && Math.max(...values) > 3 * Math.min(...values);
    const x = scale(chart.domain ?? extent([...places, ...marks.filter((mark) => mark.axis === "x").map((mark) => mark.at)]), BOX.left, BOX.right, false);
    const y = scale(chart.range ?? padded([...values, ...marks.filter((mark) => mark.axis === "y").map((mark) => mark.at)], log), BOX.bottom, BOX.top, log);
    const image = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
    image.append(...axes(chart, x, y), ...marks.flatMap((mark) => drawMark(mark, x, y)));
    if (chart.diagonal) image.append(drawn("path", { d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}`, stroke: "#70777f", "stroke-width": 0.8, "stroke-dasharray": "3 3" }));
    for (const line of chart.lines.filter((one) => !named.includes(one.method))) image.append(greyLine(line, x, y));
    for (const one of named) {
      const line = chart.lines.find((found) => found.method === one);
      if (line) image.append(...methodLine(chart, line, x, y));
    }
    image.scales = { x, y };
    return image;
  }

  function extent(values) {
    const low = values.reduce((one, other) => Math.min(one, other), Infinity);
    const high = values.reduce((one, other) => Math.max(one, other), -Infinity);
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }

  function padded(values, log) {
    const [low, high] = extent(values);
    if (log) return [low / 1.1, high * 1.1];
    const room = 0.04 * (high - low);
    return [low >= 0 && low < 0.3 * high ? 0 : low - room, high + room];
  }

  function scale([low, high], from, to, log) {
    const place = log ? Math.log : (value) => value;
    const scaled = (value) => from + ((place(value) - place(low)) / (place(high) - place(low))) * (to - from);
    scaled.ticks = log ? logTicks(low, high) : ticks(low, high);
    return scaled;
  }

  function ticks(low, high) {
    const rough = (high - low) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
    const found = [];
    // Counted, not added up: beside large values a small step is lost in rounding.
    const first = Math.ceil(low / step - 1e-9) * step;
    for (let place = 0; place <= 10 && first + place * step <= high + 1e-9 * step; place += 1) found.push(Number((first + place * step).toPrecision(10)));
    return found;
  }

  function logTicks(low, high) {
    const found = [];
    const steps = high / low > 50 ? [1] : high / low > 8 ? [1, 3] : [1, 2, 3, 5];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const step of steps) {
        const tick = Number((step * 10 ** power).toPrecision(10));
        if (tick >= low && tick <= high) found.push(tick);
      }
    }
    return found;
  }

  function axes(chart, x, y) {
    const text = (content, attributes) => drawn("text", attributes, content);
    const parts = y.ticks.flatMap((tick) => [
      drawn("path", { d: `M${BOX.left} ${y(tick)}H${BOX.right}`, stroke: "#e3e6ea", "stroke-width": 0.8 }),
      text(tickText(tick), { x: BOX.left - 6, y: y(tick) + 4, "text-anchor": "end" }),
    ]);
    parts.push(...x.ticks.flatMap((tick) => [
      drawn("path", { d: `M${x(tick)} ${BOX.bottom}v4`, stroke: "#70777f", "stroke-width": 0.8 }),
      text(tickText(tick), { x: inside(x(tick), tickText(tick)), y: BOX.bottom + 16, "text-anchor": "middle" }),
    ]));
    parts.push(drawn("path", { d: `M${BOX.left} ${BOX.top}V${BOX.bottom}H${BOX.right}`, stroke: "#70777f", "stroke-width": 0.8, fill: "none" }));
    parts.push(text(cut(chart.x, 52), { x: (BOX.left + BOX.right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }));
    const middle = (BOX.top + BOX.bottom) / 2;
    parts.push(text(cut(chart.y, 30), { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle" }));
    return parts;
  }

  const cut = (name, length) => (name.length > length ? `${name.slice(0, length - 1)}…` : name);

  // The middle of a number at the right edge, so that its last digit is not cut.
  const inside = (x, number) => Math.min(x, WIDTH - 3.5 * number.length);

  const tickText = (tick) => (tick !== 0 && (Math.abs(tick) >= 1e5 || Math.abs(tick) < 1e-3) ? tick.toExponential(0) : String(tick));

  function drawMark(mark, x, y) {
    const style = { stroke: "#70777f", "stroke-width": 0.8, "stroke-dasharray": "3 3" };
    if (mark.axis === "x") {
      return [drawn("path", { d: `M${x(mark.at)} ${BOX.top}V${BOX.bottom}`, ...style }), drawn("text", { x: x(mark.at), y: BOX.top - 4, "text-anchor": "end" }, mark.name)];
    }
    return [drawn("path", { d: `M${BOX.left} ${y(mark.at)}H${BOX.right}`, ...style }), drawn("text", { x: BOX.right, y: y(mark.at) - 3, "text-anchor": "end" }, mark.name)];
  }

  // A missing value parts a line: nothing is drawn across a hole.
  function path(line, values, x, y) {
    let pen = "M";
    let found = "";
    values.forEach((value, place) => {
      if (value === null) {
        pen = "M";
        return;
      }
      found += `${pen}${x(data.grids[line.x][place]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    });
    return found || "M0 0";
  }

  function greyLine(line, x, y) {
    return drawn("path", { d: path(line, line.y, x, y), stroke: GREY, "stroke-width": 1.2, fill: "none" }, drawn("title", {}, data.methods[line.method].name));
  }

  function band(line, x, y) {
    const known = line.low.map((low, place) => place).filter((place) => line.low[place] !== null && line.high[place] !== null);
    const point = (values) => (place) => `${x(data.grids[line.x][place]).toFixed(1)} ${y(values[place]).toFixed(1)}`;
    const edge = [...known.map(point(line.high)), ...known.reverse().map(point(line.low))];
    return drawn("path", { d: edge.length ? `M${edge.join("L")}Z` : "M0 0", fill: data.methods[line.method].color, "fill-opacity": 0.16 });
  }

  function methodLine(chart, line, x, y) {
    const look = stroke(line.method);
    const name = drawn("title", {}, data.methods[line.method].name);
    const parts = line.low ? [band(line, x, y)] : [];
    if (line.beside) parts.push(drawn("path", { d: path(line, line.beside, x, y), ...look, "stroke-width": 1.2, "stroke-dasharray": "2 3" }));
    parts.push(drawn("path", { d: path(line, line.y, x, y), ...look, class: "own" }, name));
    const few = chart.points || line.y.length <= 12;
    const alone = (place) => (line.y[place - 1] ?? null) === null && (line.y[place + 1] ?? null) === null;
    line.y.forEach((value, place) => {
      // A point between holes has no line to be seen by.
      if (value === null || !(few || alone(place))) return;
      const hollow = line.hollow?.includes(place);
      const point = { r: 3, fill: hollow ? "#ffffff" : look.stroke, stroke: hollow ? look.stroke : "#ffffff", "stroke-width": 1 };
      parts.push(drawn("circle", { cx: x(data.grids[line.x][place]), cy: y(value), ...point }));
    });
    return parts;
  }

  // ---- Charts of all methods: those of a section at a time, methods switched on and off.

  const choices = { dataset: byId("charts-dataset"), section: byId("charts-section") };
  const apart = byId("charts-apart");
  const off = new Set();

  function offerCharts() {
    offer(choices.dataset, datasetNames.map((name, place) => [String(place), name]));
    choices.dataset.parentElement.hidden = datasets.length < 2;
    const sections = [...new Set(data.charts[Number(choices.dataset.value)].map((chart) => chart.section))];
    offer(choices.section, (sections.length ? sections : [""]).map((name) => [name, name || "none"]));
  }

  function showCharts() {
    offerCharts();
    const dataset = Number(choices.dataset.value);
    const shown = data.methods.map((one, place) => place).filter((place) => !off.has(place));
    const charts = data.charts[dataset].filter((chart) => chart.section === choices.section.value);
    const seen = charts.map((chart) => ({ ...chart, lines: chart.lines.filter((line) => !off.has(line.method)) }));
    byId("charts-hint").hidden = apart.checked;
    const shape = apart.checked ? oneByOne : (chart) => [chartOfAll(chart, shown, dataset)];
    byId("charts-shown").replaceChildren(...seen.flatMap((chart) => shape(chart, dataset)));
  }

  // Small multiples: a chart for each method on the same axes, with the lines of the others in grey.
  function oneByOne(chart, dataset) {
    // A chart of rows has its methods apart.
    if (placesOf(chart).size < 2) return [chartOfAll(chart, chart.lines.map((line) => line.method), dataset)];
    return chart.lines.map((line) => figure({ ...chart, title: `${data.methods[line.method].short}: ${chart.title}` }, dataset, line.method, null));
  }

  function showSwitches() {
    const entries = data.methods.map((method, place) => {
      const box = element("input", { type: "checkbox" });
      box.checked = !off.has(place);
      box.addEventListener("change", () => {
        if (box.checked) off.delete(place);
        else off.add(place);
        showCharts();
        keepAddress();
      });
      const sample = drawn("svg", { viewBox: "0 0 42 16", "aria-hidden": "true" }, drawn("path", { d: "M4 8H38", ...stroke(place) }));
      return element("label", {}, box, sample, method.name);
    });
    byId("charts-methods").replaceChildren(...entries);
  }

  function chartOfAll(chart, shown, dataset) {
    const title = element("h4", {}, chart.title);
    if (!chart.lines.length) return element("figure", {}, title, element("p", { class: "hint" }, "No method is switched on that has values here."));
    const image = draw(chart, shown);
    const spokenOf = (line) => `${data.methods[line.method].name}: ${spoken(chart, line)}`;
    image.setAttribute("role", "img");
    image.setAttribute("tabindex", "0");
    image.setAttribute("aria-label", `${chart.title}: ${chart.y}, by ${chart.x}. ${chart.lines.map(spokenOf).join(" ")}`);
    const note = image.scales ? chart.note : `At ${chart.x} ${short(data.grids[chart.lines[0].x][0])}; bars: range over seeds.`;
    const out = element("p", { class: "readout", "aria-live": "polite" });
    // Rows have their numbers beside them.
    if (image.scales) readValues(chart, image, out);
    return element("figure", {}, title, image, saves(chart, image, dataset, note), out);
  }

  // All places x of a chart: the pointer picks the nearest, the arrow keys go from one to the next.
  function readValues(chart, image, out) {
    const places = [...placesOf(chart)].sort((one, other) => one - other);
    const rule = drawn("path", { stroke: "#70777f", "stroke-width": 0.8, d: "" });
    image.append(rule);
    let at = -1;
    const tell = () => {
      const x = places[at];
      rule.setAttribute("d", `M${image.scales.x(x)} ${BOX.top}V${BOX.bottom}`);
      const values = chart.lines.map((line) => [line, data.grids[line.x].indexOf(x)]).filter(([line, place]) => place >= 0 && line.y[place] !== null);
      out.textContent = `${short(x)}: ${values.map(([line, place]) => `${data.methods[line.method].name} ${short(line.y[place])}`).join(", ")}`;
    };
    image.addEventListener("pointermove", (event) => {
      const box = image.getBoundingClientRect();
      const pixel = ((event.clientX - box.left) / box.width) * WIDTH;
      const far = (x) => Math.abs(image.scales.x(x) - pixel);
      at = places.reduce((best, x, place) => (far(x) < far(places[best]) ? place : best), 0);
      tell();
    });
    const quiet = () => {
      at = -1;
      rule.setAttribute("d", "");
      out.textContent = "";
    };
    image.addEventListener("pointerleave", quiet);
    image.addEventListener("blur", quiet);
    image.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      at = Math.max(0, Math.min(places.length - 1, at + step));
      tell();
    });
  }

  function saves(chart, image, dataset, note) {
    const stem = `${datasets[dataset]} ${chart.section} ${chart.title}`.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 80);
    const save = (end, address) => element("a", { href: address, download: `${stem}.${end}` }).click();
    const offered = { SVG: () => save("svg", svgAddress(image)), PNG: () => savePng(svgAddress(image), (address) => save("png", address)), CSV: () => save("csv", csvAddress(chart)) };
    const buttons = Object.entries(offered).map(([name, work]) => {
      const button = element("button", { type: "button", class: "method", "aria-label": `${name} of ${chart.title}` }, name);
      button.addEventListener("click", work);
      return button;
    });
    // Beside them, so that charts without a note are not higher for those that have one.
    return element("div", { class: "saves" }, ...buttons, ...(note ? [element("span", { class: "note" }, note)] : []));
  }

  // Outside of the page a drawing has no style sheet: what it needs stands in it.
  function svgAddress(image) {
    const copy = image.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", 2 * WIDTH);
    copy.setAttribute("height", 2 * heightOf(image));
    copy.setAttribute("font-family", "sans-serif");
    copy.setAttribute("font-size", "11");
    copy.prepend(drawn("rect", { width: WIDTH, height: heightOf(image), fill: "#ffffff" }));
    return `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  }

  const heightOf = (image) => image.viewBox.baseVal.height;

  function savePng(address, done) {
    const picture = new Image();
    picture.addEventListener("load", () => {
      const canvas = element("canvas", { width: 1.5 * picture.width, height: 1.5 * picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      done(canvas.toDataURL("image/png"));
    });
    picture.src = address;
  }

  function csvAddress(chart) {
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const lines = chart.lines.flatMap((line) => line.y.map((y, place) => [quoted(data.methods[line.method].name), data.grids[line.x][place], y ?? "", line.low?.[place] ?? "", line.high?.[place] ?? ""].join(",")));
    return `data:text/csv;charset=utf-8,${encodeURIComponent(["method,x,y,low,high", ...lines, ""].join("\n"))}`;
  }

  // ---- Figures of the report, opened in full.

  const opened = byId("figure");

  function openFigure(button) {
    const close = element("button", { type: "button" }, "Close");
    close.addEventListener("click", () => opened.close());
    const picture = button.querySelector("img").cloneNode();
    opened.replaceChildren(element("div", { class: "title" }, element("h2", {}, button.dataset.name), close), picture);
    opened.showModal();
  }

  // ---- Tables that are wider than the page: a shadow where columns are out of sight.

  function watchEdges() {
    for (const frame of document.querySelectorAll(".edge > .scroll")) {
      const edge = frame.parentElement;
      const mark = () => {
        const beyond = frame.scrollWidth - frame.clientWidth;
        edge.classList.toggle("more", beyond - frame.scrollLeft > 1);
        edge.style.setProperty("--bar-right", `${frame.offsetWidth - frame.clientWidth - 1}px`);
        edge.style.setProperty("--bar-below", `${frame.offsetHeight - frame.clientHeight - 1}px`);
        if (frame.contains(table)) byId("sideways").hidden = beyond <= 1;
      };
      frame.addEventListener("scroll", mark, { passive: true });
      const sizes = new ResizeObserver(() => requestAnimationFrame(mark));
      for (const one of [frame, ...frame.children]) sizes.observe(one);
    }
  }

  // ---- An overview of many methods: the first ones, until all are asked for.

  function foldOverviews() {
    for (const button of document.querySelectorAll("button.all")) {
      const matrix = button.closest(".matrix");
      const all = button.textContent;
      const fold = (short) => {
        matrix.classList.toggle("short", short);
        button.textContent = short ? all : "Show fewer";
        button.setAttribute("aria-expanded", String(!short));
      };
      button.addEventListener("click", () => fold(!matrix.classList.contains("short")));
      button.hidden = false;
      fold(true);
    }
  }

  // ---- Commands.

  async function copyCommands() {
    const range = document.createRange();
    range.selectNodeContents(byId("commands"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    let copied = false;
    try {
      await navigator.clipboard.writeText(byId("commands").textContent);
      copied = true;
    } catch {
      copied = document.execCommand("copy");
    }
    byId("copied").textContent = copied ? "Copied." : "Selected: copy it with Ctrl+C.";
  }

  // ---- Start.

  let initial = {}; // what the filters are set to unless others are asked for
  let shown = null; // what was asked for when the table was built

  function setInitial() {
    controls.method.value = "";
    for (const name of ["dataset", "condition", "level"]) controls[name].value = ALL;
    offerAll();
    const clean = rows.filter((row) => row.condition === "clean");
    if (clean.some((row) => row.cells.size) || !rows.some((row) => row.cells.size)) controls.condition.value = "=clean";
    offerAll();
    controls.metric.value = "main";
    order.column = null;
    initial = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
  }

  // What the address says of the filters: those that are not as they were at first.
  const filtersSet = () => Object.entries(controls).map(([name, control]) => [name, control.value]).filter(([name, value]) => value !== initial[name]);
  const inAddress = () => String(new URLSearchParams(filtersSet()));

  // The order of the rows and the methods that are switched off stand in it as well.
  function keepAddress() {
    const more = [];
    if (order.column) more.push(["sort", `${order.down ? "-" : ""}${order.column.key}`]);
    if (off.size) more.push(["off", [...off].sort((one, other) => one - other).join(" ")]);
    if (choices.section && choices.dataset.selectedIndex > 0) more.push(["charted", choices.dataset.value]);
    if (choices.section && choices.section.selectedIndex > 0) more.push(["section", choices.section.value]);
    if (apart?.checked) more.push(["apart", "1"]);
    const said = String(new URLSearchParams([...filtersSet(), ...more]));
    try {
      history.replaceState(null, "", said ? `#${said}` : location.href.split("#")[0]);
    } catch {
      // A browser may refuse, in a frame or after too many changes: the page works without.
    }
  }

  function filter() {
    offerAll();
    if (inAddress() === shown) return;
    shown = inAddress();
    show();
    keepAddress();
  }

  function reset() {
    setInitial();
    shown = null; // the order of the rows is reset, too
    filter();
  }

  function restoreCharts(found) {
    if (!choices.section) return;
    // The sections are those of the dataset.
    for (const [control, key] of [[choices.dataset, "charted"], [choices.section, "section"]]) {
      offerCharts();
      const offered = [...control.options].map((option) => option.value);
      control.value = offered.includes(found.get(key)) ? found.get(key) : offered[0];
    }
    apart.checked = found.get("apart") === "1";
    showSwitches();
    showCharts();
  }

  // Values that are not offered are ignored, and so is an address that says nothing of filters.
  function restore() {
    const found = new URLSearchParams(location.hash.slice(1));
    if (![...Object.keys(controls), "sort", "off", "charted", "section", "apart"].some((name) => found.has(name))) return false;
    setInitial();
    for (const [name, control] of Object.entries(controls)) {
      const value = found.get(name);
      if (value !== null && (name === "method" || [...control.options].some((option) => option.value === value))) control.value = value;
      offerAll();
    }
    shown = inAddress();
    order.down = found.get("sort")?.startsWith("-") ?? false;
    order.column = [...placeColumns, ...metricColumns].find((column) => column.key === found.get("sort")?.replace(/^-/, "")) ?? null;
    off.clear();
    for (const place of (found.get("off") ?? "").split(" ")) if (place in data.methods && place !== "") off.add(Number(place));
    restoreCharts(found);
    show();
    return true;
  }

  table.append(head, foot);
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.method");
    if (button) openCurves(Number(button.dataset.method), button.dataset.dataset);
  });
  for (const control of Object.values(controls)) {
    for (const event of ["input", "change"]) control.addEventListener(event, filter);
  }
  addEventListener("hashchange", restore);
  byId("reset").addEventListener("click", reset);
  byId("copy").addEventListener("click", copyCommands);
  byId("copy").hidden = false;
  offerMetrics();
  if (!restore()) {
    setInitial();
    shown = inAddress();
    show();
  }
  byId("board").hidden = false;
  if (choices.section) {
    for (const control of [...Object.values(choices), apart]) {
      control.addEventListener("change", showCharts);
      control.addEventListener("change", keepAddress);
    }
    showSwitches();
    showCharts();
  }
  for (const button of document.querySelectorAll("button.thumb")) button.addEventListener("click", () => openFigure(button));
  foldOverviews();
  watchEdges();
})();
