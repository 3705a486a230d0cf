"""Notebook servers as pods that may use Emberhub: KubeSpawner, with the site's profiles to choose from."""

from __future__ import annotations

from typing import Any

from jupyterhub.slugs import safe_slug
from kubespawner import KubeSpawner
from traitlets import default

from ..notebook import EmberhubSpawnerMixin
from ..pods import Pod, of_driver
from ..profiles import default_of, load_site_pod
from .manifests import SCRATCH, USER


class EmberhubKubeSpawner(EmberhubSpawnerMixin, KubeSpawner):  # type: ignore[misc]
    """Its pods carry the label by which network policies know their owner, and the volumes of the chosen profile: what
    notebook, driver and executors share lies at the same path in all of them.
    """

    @default("profile_list")
    def _default_profile_list(self) -> Any:
        return lambda spawner: spawner.emberhub_profile_list()

    @default("options_form")
    def _default_options_form(self) -> Any:
        # KubeSpawner's own form, which shows the list above or the site's own.
        return self._options_form_default()

    @default("options_from_form")
    def _default_options_from_form(self) -> Any:
        return self._options_from_form

    @default("container_security_context")
    def _default_container_security_context(self) -> dict[str, Any]:
        # Pod Security "restricted", with what KubeSpawner itself sets.
        return {
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }

    def emberhub_profile_list(self) -> list[dict[str, Any]]:
        """The user's profiles as KubeSpawner lists them; none where there is nothing to choose. Raises ConfigError."""
        profiles = self.emberhub_profiles()
        chosen = default_of(profiles)
        return [
            {
                "slug": profile.name,
                "display_name": profile.title or profile.name,
                "description": f"{profile.description} Up to {profile.max} executors of {profile.executor}.".strip(),
                "default": profile == chosen,
            }
            for profile in profiles
            if len(profiles) > 1
        ]

    def emberhub_pod(self) -> Pod:
        """How the pods of the chosen profile are made. Raises ConfigError."""
        profiles = self.emberhub_profiles()
        named = next((each for each in profiles if each.name == self.user_options.get("profile")), None)
        profile = named or default_of(profiles)
        return of_driver(load_site_pod(self.emberhub_site_path()), profile.pod if profile else Pod())

    async def get_pod_manifest(self) -> Any:
        """KubeSpawner's pod, with the owner's label and the profile's volumes."""
        pod = await super().get_pod_manifest()
        pod.metadata.labels[USER] = str(safe_slug(self.user.name))
        chosen = self.emberhub_pod()
        pod.spec.volumes = [*(pod.spec.volumes or ()), *_shared(chosen.volumes)]
        notebook = pod.spec.containers[0]
        notebook.volume_mounts = [*(notebook.volume_mounts or ()), *_shared(chosen.volume_mounts)]
        return pod


def _shared(named: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [each for each in named if not each["name"].startswith(SCRATCH)]
