"""The configuration: the official collector's YAML, so that one file serves both engines.

What only the official collector has is refused by name rather than ignored: better a collector that does not start than
a redaction that does not happen. Names and defaults are the official ones, but for limits of 64 MiB on what is
received, which the OTLP specification recommends. The language itself is in `tree`, `expansion` and `schema`, what each
component may be told in `settings`; here is what holds between components.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from llmtrace_collector.config import elsewhere, settings
from llmtrace_collector.config.expansion import Expansion
from llmtrace_collector.config.schema import Reader, shown
from llmtrace_collector.config.settings import Config, MistakeError, PipelineSettings, Service, Settings
from llmtrace_collector.config.tree import Key, Node, Place, merge, read_file
from llmtrace_collector.config.values import component_id
from llmtrace_collector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS: dict[str, dict[str, Any]] = {
    "receivers": settings.RECEIVERS,
    "processors": settings.PROCESSORS,
    "exporters": settings.EXPORTERS,
    "extensions": settings.EXTENSIONS,
    "connectors": {},
}
ROLES = ("receivers", "processors", "exporters")


def load(*paths: Path) -> Config:
    """Reads a collector configuration. Of several files the later wins: mappings are merged, lists are replaced.

    Raises ConfigError, with file and line.
    """
    expansion = Expansion()
    root = expansion.expand(reduce(merge, map(read_file, paths)))
    reader = Reader(f"otelcol-contrib {' '.join(f'--config {path}' for path in paths)}")
    loader = _Loader(reader, root, str(paths[-1]))
    config = loader.load()
    return replace(config, notes=(*expansion.notes, *reader.notes, *loader.unused(config), *_ignored(reader, paths)))


def _ignored(reader: Reader, paths: tuple[Path, ...]) -> list[str]:
    if not reader.ignored:
        return []
    return [f"{paths[-1]}: read by the official collector only: {', '.join(reader.ignored)}"]


class _Loader:
    """Reads the sections, then looks at what the service makes of them."""

    def __init__(self, reader: Reader, root: Node, file: str) -> None:
        self.reader = reader
        self.places: dict[tuple[str, str], Place] = {}
        self.sections = reader.entries(root, "the file")
        if not self.sections:
            raise ConfigError(f"{file}: the file is empty")
        for key in self.sections:
            if key not in (*KINDS, "service"):
                reader.unknown(key, "section", (*KINDS, "service"))
        for name in ("receivers", "exporters", "service"):
            if name not in self.sections:
                reader.fail(root.place, f"the section {name!r} is missing")

    def load(self) -> Config:
        """Raises ConfigError."""
        components = {section: self._components(section) for section in KINDS}
        service = self.reader.read(Service, self.sections[Key("service")], "service")
        self._check_extensions(service, components)
        for name, pipeline in service.pipelines.items():
            for role in ROLES:
                self._check_references(name, role, getattr(pipeline, role), components[role])
        return Config(
            receivers=components["receivers"],
            exporters=components["exporters"],
            service=replace(service, pipelines={name: _once(found) for name, found in service.pipelines.items()}),
            processors=components["processors"],
            extensions=components["extensions"],
        )

    def unused(self, config: Config) -> Iterator[str]:
        """Notes on components that nothing names: a redaction that is only written down redacts nothing."""
        service = config.service
        named = {role: {name for each in service.pipelines.values() for name in getattr(each, role)} for role in ROLES}
        named["extensions"] = set(service.extensions)
        for (section, name), place in self.places.items():
            if name not in named[section]:
                where = "service.extensions does not name it" if section == "extensions" else "no pipeline names it"
                yield f"{place}: {section}.{name} does nothing: {where}"

    def _components(self, section: str) -> dict[str, Any]:
        """The components of a section by their id, which is `type` or `type/name`."""
        components: dict[str, Any] = {}
        for key, node in self.reader.entries(self.sections.get(Key(section), NOWHERE), section).items():
            name = self._id(key, section)
            if name in components:
                self.reader.fail(key.place, f"{name!r} appears twice in {section}")
            self.places[section, name] = key.place
            kind = self._kind(section, key, name.partition("/")[0])
            components[name] = self.reader.read(kind, node, f"{section}.{name}")
        return components

    def _id(self, key: Key, section: str) -> str:
        try:
            return component_id(key)
        except ValueError as error:
            self.reader.fail(key.place, f"{section}: {error}")

    def _kind(self, section: str, key: Key, kind: str) -> Any:
        if kind in KINDS[section]:
            return KINDS[section][kind]
        if elsewhere.official(section, kind):
            return self.reader.elsewhere(key.place, f"has {section}.{key}")
        return self.reader.unknown(Key.at(kind, key.place), f"component in {section}:", KINDS[section])

    def _check_references(self, pipeline: str, role: str, names: tuple[str, ...], components: dict[str, Any]) -> None:
        where = f"service.pipelines.{pipeline}.{role}"
        for name in names:
            if name not in components:
                place = self._at("service", "pipelines", pipeline, role)
                self.reader.fail(place, f"{where} names {shown(name)}, which {role} does not define")
            try:
                components[name].check_signal(pipeline.partition("/")[0])
            except MistakeError as mistake:
                self._protest(mistake, role, name)

    def _check_extensions(self, service: Service, components: dict[str, dict[str, Any]]) -> None:
        extensions = {}
        for name in service.extensions:
            if name not in components["extensions"]:
                place = self._at("service", "extensions")
                self.reader.fail(place, f"service.extensions names {shown(name)}, which extensions does not define")
            extensions[name] = components["extensions"][name]
        for section in ("receivers", "exporters"):
            for name, component in components[section].items():
                for key, wanted, kind in _uses(component):
                    self._check_use(section, name, key, wanted, extensions.get(wanted), kind)

    def _check_use(self, section: str, name: str, key: str, wanted: str, found: Any, kind: type[Settings]) -> None:
        place, where = self.places[section, name], f"{section}.{name}.{key}"
        if found is None:
            self.reader.fail(place, f"{where} names {shown(wanted)}, which service.extensions does not name")
        if not isinstance(found, kind):
            known = next(name for name, known in settings.EXTENSIONS.items() if known is kind)
            self.reader.fail(place, f"{where} names {shown(wanted)}, which is no {known}")

    def _protest(self, mistake: MistakeError, section: str, name: str) -> None:
        entries = self.sections[Key(section)].value
        node = next(node for key, node in entries.items() if component_id(key) == name)
        where = f"{section}.{name}"
        self.reader.protest(mistake, self.reader.entries(node, where), self.places[section, name], where)

    def _at(self, *keys: str) -> Place:
        """The place of the value under these keys, or of the deepest on the way to it."""
        node = self.sections[Key(keys[0])]
        for key in keys[1:]:
            node = self.reader.entries(node, key).get(Key(key), node)
        return node.place


def _once(pipeline: PipelineSettings) -> PipelineSettings:
    """A component that is named twice is there once."""
    receivers, exporters = (tuple(dict.fromkeys(names)) for names in (pipeline.receivers, pipeline.exporters))
    return replace(pipeline, receivers=receivers, exporters=exporters)


NOWHERE = Node(None, Place("", 1))


def _uses(component: Any) -> list[tuple[str, str, type[Settings]]]:
    """The extensions that a component needs: by which key, which id, and of which kind."""
    protocols = getattr(component, "protocols", None)
    parts = (
        [("protocols.http.", protocols.http), ("protocols.grpc.", protocols.grpc)] if protocols else [("", component)]
    )
    uses: list[tuple[str, str, type[Settings]]] = []
    for prefix, part in parts:
        if auth := getattr(part, "auth", None):
            uses.append((f"{prefix}auth.authenticator", auth.authenticator, settings.BearerToken))
        queue = getattr(part, "sending_queue", None)
        if queue and queue.enabled and queue.storage:
            uses.append((f"{prefix}sending_queue.storage", queue.storage, settings.FileStorage))
    return uses
