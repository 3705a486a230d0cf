"""Notebook servers that may use Emberhub.

`EmberhubSpawnerMixin` gives any JupyterHub spawner what the notebook needs: a token that the service accepts, the
service's address, and a choice of profiles. `LocalSpawner` is a spawner for one machine.
"""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emberhub import sparkmagic
from emberhub.errors import ConfigError
from jupyterhub.slugs import safe_slug
from jupyterhub.spawner import LocalProcessSpawner
from tornado import web
from traitlets import Unicode, default
from traitlets.config import Configurable

from .profiles import Profile, default_of, load_profiles, visible

ENV_URL = "EMBERHUB_URL"
ENV_PROFILE = "EMBERHUB_PROFILE"

SERVER_TOKEN_SCOPES = ("users:activity!user", "access:servers!server", "access:services!service=emberhub")
"""What a notebook's own token may do: report activity, be reached, and reach Emberhub."""


class EmberhubSpawnerMixin(Configurable):
    """Put before a spawner class: `class MySpawner(EmberhubSpawnerMixin, KubeSpawner)`."""

    emberhub_url = Unicode(
        help="Address of the Emberhub service as notebooks reach it, such as http://hub:8081/services/emberhub."
    ).tag(config=True)
    emberhub_site = Unicode(
        help="Path of the site's YAML file, whose profiles the user may choose from. Empty: the built-in profile."
    ).tag(config=True)

    user: Any
    user_options: dict[str, Any]
    popen_kwargs: dict[str, Any]

    @default("server_token_scopes")
    def _default_server_token_scopes(self) -> list[str]:
        return list(SERVER_TOKEN_SCOPES)

    @default("options_form")
    def _default_options_form(self) -> Callable[[Any], str]:
        return lambda spawner: spawner.emberhub_form()

    @default("options_from_form")
    def _default_options_from_form(self) -> Callable[[dict[str, list[str]]], dict[str, Any]]:
        return _first_values

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Callable[[Any, dict[str, Any]], None]:
        return lambda spawner, options: spawner.emberhub_check(options)

    def emberhub_profiles(self) -> list[Profile]:
        """The profiles that this user may choose from. Raises ConfigError."""
        profiles = load_profiles(self.emberhub_site_path())
        return list(visible(profiles, [group.name for group in self.user.groups]))

    def emberhub_site_path(self) -> Path | None:
        """The site's file, if there is one."""
        return Path(self.emberhub_site) if self.emberhub_site else None

    def emberhub_form(self) -> str:
        """HTML inputs for the page that starts a server; empty where there is nothing to choose."""
        profiles = self.emberhub_profiles()
        if len(profiles) < 2:
            return ""
        chosen = default_of(profiles)
        return "<h3>Spark cluster</h3>\n" + "\n".join(
            _choice(profile, checked=profile == chosen) for profile in profiles
        )

    def emberhub_check(self, options: dict[str, Any]) -> None:
        """Refuse a profile that this user may not have; starts by form and by REST both come here.

        Raises tornado's HTTPError 400 with a sentence for the user.
        """
        profile = options.get("profile")
        if profile is None:
            return
        names = [offered.name for offered in self.emberhub_profiles()]
        if profile not in names:
            raise web.HTTPError(400, f"There is no profile {str(profile)[:80]!r}: choose one of {', '.join(names)}")

    def get_env(self) -> dict[str, str]:
        """The server's environment, with Emberhub's address and the chosen profile."""
        env: dict[str, str] = super().get_env()  # type: ignore[misc]
        if self.emberhub_url:
            env[ENV_URL] = self.emberhub_url
        profile = self.user_options.get("profile")
        if isinstance(profile, str) and profile:
            env[ENV_PROFILE] = profile
        return env


class LocalSpawner(EmberhubSpawnerMixin, LocalProcessSpawner):  # type: ignore[misc]
    """Notebook servers on the hub's machine, each with a home directory of its own.

    All run as the hub's own user of the operating system: users are kept apart by their honesty alone. It is for one
    person or for people who trust each other.
    """

    homes = Unicode("homes", help="Directory that holds one home directory for each user.").tag(config=True)

    @default("cmd")
    def _default_cmd(self) -> list[str]:
        # The hub's own Python, which need not be on the PATH.
        return [sys.executable, "-m", "jupyterhub.singleuser"]

    @property
    def home(self) -> Path:
        """The user's home directory."""
        return Path(self.homes).absolute() / str(safe_slug(self.user.name))

    @default("notebook_dir")
    def _default_notebook_dir(self) -> str:
        return str(self.home)

    def get_args(self) -> list[str]:
        """The server's arguments; as root it must be told that this is meant."""
        args: list[str] = super().get_args()
        return [*args, "--allow-root"] if os.geteuid() == 0 else args

    def make_preexec_fn(self, name: str) -> None:
        """Nothing to change in the child: it runs as the hub's user."""
        return

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """The variables that tell programs whose they are."""
        return {**env, "USER": self.user.name, "HOME": str(self.home), "SHELL": "/bin/bash"}

    async def start(self) -> Any:
        """Start the server in its user's home directory."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sparkmagic.installed():
            try:
                sparkmagic.install(self.home)
            except (OSError, ConfigError) as wrong:
                self.log.warning("sparkmagic is not set up for %s: %s", self.user.name, wrong)
        self.popen_kwargs = {**self.popen_kwargs, "cwd": str(self.home)}
        return await super().start()

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """The certificates are the hub's user's already."""
        return paths


def _first_values(form: dict[str, list[str]]) -> dict[str, Any]:
    return {key: values[0] for key, values in form.items() if key == "profile" and values}


def _choice(profile: Profile, *, checked: bool) -> str:
    name, title = html.escape(profile.name), html.escape(profile.title or profile.name)
    about = html.escape(profile.description)
    number = "1 executor" if profile.max == 1 else f"up to {profile.max} executors"
    size = html.escape(f"{number} of {profile.executor}")
    return (
        f'<div class="radio"><label><input type="radio" name="profile" value="{name}"{" checked" if checked else ""}> '
        f"<strong>{title}</strong> {about} <small>({size})</small></label></div>"
    )
