"""Reading the text format, and making a Topology of statements, whatever their source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Network

from qemunet.errors import TopologyError
from qemunet.topology import keys
from qemunet.topology.addresses import Addresser
from qemunet.topology.attributes import attribute_problems
from qemunet.topology.lexer import Statement, split_statements
from qemunet.topology.links import SHAPES, Links, WrittenLink, mac_of, name_interfaces, name_links
from qemunet.topology.model import End, Lan, Link, Topology
from qemunet.topology.nodes import Defaults, Nodes, read_option
from qemunet.topology.parameters import Parameters
from qemunet.topology.placement import placement_problems
from qemunet.topology.problems import Problems, did_you_mean, shown
from qemunet.topology.segments import Segment, Warnings, find_segments, settle_bridges
from qemunet.topology.statements import Value

LINK_KEYWORDS = ("link", "lan", *SHAPES)
"""Statements that make links."""
_KEYWORDS = ("param", "option", "default", "node", *LINK_KEYWORDS)
_MOST_WARNINGS = 50


def parse_text(text: str, *, name: str, parameters: Mapping[str, str]) -> Topology:
    """Read a topology in the text format.

    Args:
        text: The source.
        name: What messages call it.
        parameters: Values for parameters that the text declares.

    Raises:
        TopologyError: every mistake there is.
    """
    problems = Problems()
    declared = Parameters(parameters, problems)
    statements = declared.declare(split_statements(text, name, problems))
    declared.check_given(name)
    return assemble(statements, name=name, text=text, parameters=declared.values, problems=problems, warnings=[])


def text_parameters(text: str, *, name: str) -> Mapping[str, str]:
    """Return the parameters that a text declares, with their defaults; other mistakes in it are ignored."""
    problems = Problems()
    declared = Parameters({}, problems)
    try:
        statements = split_statements(text, name, problems)
        declared.declare([statement for statement in statements if statement[0].text == "param"])
    except TopologyError:
        pass  # too many mistakes to go on: reading the topology reports them
    return declared.defaults


def assemble(
    statements: Sequence[Statement],
    *,
    name: str,
    text: str,
    parameters: Mapping[str, str],
    problems: Problems,
    warnings: Warnings,
) -> Topology:
    """Make a Topology of statements whose parameters are replaced.

    Args:
        statements: All but ``param``, in order of the source.
        name: What the source is called.
        text: The source as given.
        parameters: Those that the source declares, with the values used.
        problems: The mistakes found so far.
        warnings: What is allowed but seldom meant, found so far.

    Raises:
        TopologyError: every mistake there is.
    """
    options: dict[str, Value] = {}
    defaults = Defaults(problems)
    nodes = Nodes(problems)
    links = Links(nodes, defaults, problems)
    for statement in _of_kind(statements, "option"):
        read_option(statement, options, problems)
    for statement in _of_kind(statements, "default"):
        defaults.read(statement)
    for statement in statements:
        if statement[0].text == "node" and statement[0].broken:
            nodes.spoil(statement)
    for statement in _of_kind(statements, "node"):
        nodes.read(statement, defaults)
    for statement in _of_kind(statements, *LINK_KEYWORDS):
        links.read(statement)
    _report_unknown(statements, problems)

    name_links(links.links, problems)
    name_interfaces(links.links, problems)
    settle_bridges(nodes.nodes, links.links)
    segments = find_segments(links.links, nodes.nodes, warnings)
    ipv6: IPv6Network | None = keys.ipv6_block(options["ipv6"].text) if "ipv6" in options else None
    Addresser(segments, problems, warnings).assign(ipv6)
    topology = Topology(
        name=name,
        nodes=nodes.nodes,
        links=_finish(links.links, segments),
        options={key: value.text for key, value in options.items()},
        parameters=parameters,
        text=text,
        warnings=tuple(f"{place}: {message}" for place, message in sorted(warnings)[:_MOST_WARNINGS]),
        option_places={key: value.place for key, value in options.items()},
    )
    for place, message in attribute_problems(topology):
        problems.add(place, message)
    if problems:  # what the plan would refuse is said now too: every mistake at once
        for place, message in placement_problems(topology):
            problems.add(place, message)
    problems.raise_if_any()
    return topology


def _of_kind(statements: Sequence[Statement], *keywords: str) -> list[Statement]:
    return [s for s in statements if s[0].text in keywords and not s[0].broken]


def _report_unknown(statements: Sequence[Statement], problems: Problems) -> None:
    for statement in statements:
        keyword = statement[0]
        if keyword.broken or keyword.text in _KEYWORDS:
            continue
        if keyword.text == "at":
            problems.add(keyword.place, "statement at (faults) is not available in this version")
            continue
        hint = did_you_mean(keyword.text, _KEYWORDS) or f"; statements are {', '.join(_KEYWORDS)}"
        problems.add(keyword.place, f"{shown(keyword.text)} is no statement{hint}")


def _finish(links: Sequence[WrittenLink], segments: Sequence[Segment]) -> dict[str, Link]:
    """Return the finished links by name, in order of the source."""
    numbers = {id(link): number for number, segment in enumerate(segments) for link in segment.links}
    macs: set[str] = set()
    finished: dict[str, Link] = {}
    for link in links:
        ends = tuple(
            End(
                end.node,
                end.interface or "",
                mac_of(end.node, end.interface or "", macs),
                tuple(end.addresses),
                len(end.written),
                end.place,
            )
            for end in link.ends
        )
        kind = Lan if link.lan else Link
        finished[link.name or ""] = kind(
            name=link.name or "",
            type=link.type,
            ends=ends,
            attributes={key: value.text for key, value in link.values.items() if key != "name"},
            segment=numbers[id(link)],
            place=link.place,
            places={key: value.place for key, value in link.values.items()},
        )
    return finished
