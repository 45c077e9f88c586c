/** Lists of the console: select all, count what is selected, mark its rows. They work without it. */

const all = document.querySelector("#action-toggle");
const boxes = [...document.querySelectorAll("input.action-select")];
const counter = document.querySelector(".action-counter");

const show = () => {
  const count = boxes.filter((box) => box.checked).length;
  for (const box of boxes) box.closest("tr")?.classList.toggle("selected", box.checked);
  if (all instanceof HTMLInputElement) {
    all.checked = count > 0 && count === boxes.length;
    all.indeterminate = count > 0 && count < boxes.length;
  }
  if (counter) counter.textContent = `${count} of ${boxes.length} selected`;
};

if (all instanceof HTMLInputElement && counter instanceof HTMLElement) {
  all.hidden = counter.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const box of boxes) box.addEventListener("change", show);
  addEventListener("pageshow", show); // a browser may have kept what was selected
  show();
}
