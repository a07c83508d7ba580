// The search in steps and in logs. Everything else on the page works without it.
const steps = document.getElementById('search-steps');
if (steps) {
  const rows = [...document.querySelectorAll('#steps .step')].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const groups = [...document.querySelectorAll('#steps .group')];
  const search = () => {
    const word = steps.value.trim().toLowerCase();
    let found = 0;
    for (const { row, text } of rows) {
      row.hidden = !text.includes(word);
      found += row.hidden ? 0 : 1;
    }
    for (const group of groups) group.hidden = Boolean(word) && !group.querySelector('.step:not([hidden])');
    document.querySelector('output[for=search-steps]').textContent = word ? `${found} ${found === 1 ? 'step' : 'steps'}` : '';
  };
  steps.parentElement.hidden = rows.length === 0;
  steps.addEventListener('input', search);
}

const field = document.getElementById('filter');
if (field) {
  const logs = [...document.querySelectorAll('details.log')].map((fold) => ({
    fold,
    open: fold.open,
    matches: fold.querySelector('.matches'),
    parts: [...fold.querySelectorAll('pre')].map((pre) => ({ pre, text: pre.textContent })),
  }));
  const total = document.querySelector('output[for=filter]');

  // A line with each match in a <mark>: text nodes only, so what a log says stays text.
  const marked = (line, word) => {
    const pieces = document.createDocumentFragment();
    const lower = line.toLowerCase();
    let from = 0;
    for (let at; (at = lower.indexOf(word, from)) >= 0; from = at + word.length) {
      const mark = document.createElement('mark');
      mark.textContent = line.slice(at, at + word.length);
      pieces.append(line.slice(from, at), mark);
    }
    pieces.append(line.slice(from), '\n');
    return pieces;
  };

  const filter = () => {
    const word = field.value.trim().toLowerCase();
    let all = 0;
    for (const log of logs) {
      let found = 0;
      for (const { pre, text } of log.parts) {
        if (!word) {
          pre.textContent = text;
          continue;
        }
        const lines = text.split('\n').filter((line) => line.toLowerCase().includes(word));
        pre.replaceChildren(...lines.map((line) => marked(line, word)));
        found += lines.length;
      }
      log.fold.open = word ? found > 0 : log.open;
      log.fold.classList.toggle('empty', Boolean(word) && found === 0);
      log.matches.textContent = word ? `${found} ${found === 1 ? 'line' : 'lines'}` : '';
      all += found;
    }
    total.textContent = word ? `${all} ${all === 1 ? 'line' : 'lines'}` : '';
  };

  field.parentElement.hidden = false;
  field.addEventListener('input', filter);
}
