"""What a labeler's process is told by its environment, beside its engine's own settings."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from labelbus_labeling.cache import BlobCache


class LabelingSettings(BaseSettings):
    """The blob cache. `cache` is a folder that processes of one machine may share; empty keeps none."""

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    cache: Path | None = Field(default=None, description="Folder for the bytes of samples.")
    cache_bytes: int = Field(default=20 * 1024**3, gt=0, description="How much the folder may hold.")
    cache_memory_bytes: int = Field(default=256 * 1024**2, ge=0, description="How much memory may hold.")

    def blob_cache(self) -> BlobCache:
        """Return the cache that these settings ask for."""
        folder = self.cache if self.cache and self.cache != Path() else None
        return BlobCache(memory_bytes=self.cache_memory_bytes, folder=folder, folder_bytes=self.cache_bytes)
