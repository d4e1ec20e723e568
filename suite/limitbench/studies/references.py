"""Bibliography: BibTeX entries of the papers whose results the studies test and whose methods they use, by key."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One paper.

    Attributes:
        key: of the BibTeX entry: first author, year, first word of the title.
        authors: `First Last`, in the paper's order.
        title, year, arxiv: as on the paper's page; `year` is that of the first version.
        venue: journal or proceedings, with its year where that differs; empty for a preprint.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    year: int
    arxiv: str
    venue: str = ""

    @property
    def short(self) -> str:
        """`Li, Nica & Roy 2022`."""
        last = [name.rpartition(" ")[2] for name in self.authors]
        named = f"{', '.join(last[:-1])} & {last[-1]}" if len(last) > 1 else last[0]
        return f"{named} {self.year}"

    @property
    def url(self) -> str:
        """The paper's page."""
        return f"https://arxiv.org/abs/{self.arxiv}"

    @property
    def bibtex(self) -> str:
        """The entry, ready for a bibliography."""
        fields = {
            "title": f"{{{self.title}}}",
            "author": " and ".join(f"{name.rpartition(' ')[2]}, {name.rpartition(' ')[0]}" for name in self.authors),
            "year": str(self.year),
            "eprint": self.arxiv,
            "archivePrefix": "arXiv",
            "note": self.venue,
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@misc{{{self.key},\n" + ",\n".join(lines) + "\n}"


_ALL = (
    Reference(
        "li2022neural",
        ("Mufan Bill Li", "Mihai Nica", "Daniel M. Roy"),
        "The Neural Covariance SDE: Shaped Infinite Depth-and-Width Networks at Initialization",
        2022,
        "2206.02768",
        "NeurIPS 2022",
    ),
    Reference(
        "li2023differential",
        ("Mufan Bill Li", "Mihai Nica"),
        "Differential Equation Scaling Limits of Shaped and Unshaped Neural Networks",
        2023,
        "2310.12079",
        "Transactions on Machine Learning Research",
    ),
    Reference(
        "jakub2023depth",
        ("Cameron Jakub", "Mihai Nica"),
        "Depth Degeneracy in Neural Networks: Vanishing Angles in Fully Connected ReLU Networks on Initialization",
        2023,
        "2302.09712",
        "Journal of Machine Learning Research 25(239)",
    ),
    Reference(
        "yang2017mean",
        ("Greg Yang", "Samuel S. Schoenholz"),
        "Mean Field Residual Networks: On the Edge of Chaos",
        2017,
        "1712.08969",
        "NIPS 2017",
    ),
    Reference(
        "bassetti2024proportional",
        ("Federico Bassetti", "Lucia Ladelli", "Pietro Rotondo"),
        "Proportional infinite-width infinite-depth limit for deep linear neural networks",
        2024,
        "2411.15267",
    ),
    Reference(
        "li2021future",
        ("Mufan Bill Li", "Mihai Nica", "Daniel M. Roy"),
        "The Future is Log-Gaussian: ResNets and Their Infinite-Depth-and-Width Limit at Initialization",
        2021,
        "2106.04013",
        "NeurIPS 2021",
    ),
    Reference(
        "hanin2018products",
        ("Boris Hanin", "Mihai Nica"),
        "Products of Many Large Random Matrices and Gradients in Deep Neural Networks",
        2018,
        "1812.05994",
        "Communications in Mathematical Physics 376 (2020)",
    ),
    Reference(
        "hanin2018which",
        ("Boris Hanin",),
        "Which Neural Net Architectures Give Rise To Exploding and Vanishing Gradients?",
        2018,
        "1801.03744",
        "NeurIPS 2018",
    ),
    Reference(
        "hanin2019finite",
        ("Boris Hanin", "Mihai Nica"),
        "Finite Depth and Width Corrections to the Neural Tangent Kernel",
        2019,
        "1909.05989",
        "ICLR 2020",
    ),
    Reference(
        "jacot2018neural",
        ("Arthur Jacot", "Franck Gabriel", "Clément Hongler"),
        "Neural Tangent Kernel: Convergence and Generalization in Neural Networks",
        2018,
        "1806.07572",
        "NeurIPS 2018",
    ),
    Reference(
        "lee2017deep",
        (
            "Jaehoon Lee",
            "Yasaman Bahri",
            "Roman Novak",
            "Samuel S. Schoenholz",
            "Jeffrey Pennington",
            "Jascha Sohl-Dickstein",
        ),
        "Deep Neural Networks as Gaussian Processes",
        2017,
        "1711.00165",
        "ICLR 2018",
    ),
    Reference(
        "matthews2018gaussian",
        ("Alexander G. de G. Matthews", "Mark Rowland", "Jiri Hron", "Richard E. Turner", "Zoubin Ghahramani"),
        "Gaussian Process Behaviour in Wide Deep Neural Networks",
        2018,
        "1804.11271",
        "ICLR 2018",
    ),
    Reference(
        "schoenholz2016deep",
        ("Samuel S. Schoenholz", "Justin Gilmer", "Surya Ganguli", "Jascha Sohl-Dickstein"),
        "Deep Information Propagation",
        2016,
        "1611.01232",
        "ICLR 2017",
    ),
)

REFERENCES: dict[str, Reference] = {entry.key: entry for entry in _ALL}


def cited(text: str) -> list[Reference]:
    """The references whose arXiv ids stand in `text`, in its order; none for ids that the bibliography lacks."""
    known = {entry.arxiv: entry for entry in _ALL}
    return [known[found] for found in dict.fromkeys(re.findall(r"\d{4}\.\d{4,5}", text)) if found in known]
