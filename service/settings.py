"""The settings: one frozen class, read from `KEMBAR_…` by the commands, seen by `create_app` alone."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """Everything that an operator may choose. What is learned from data is in the bundle, not here."""

    model_config = SettingsConfigDict(env_prefix="KEMBAR_", frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(default=Path("data"), description="directory of the index; one process owns it")
    bundle: Path = Field(default=Path("bundles/demo"), description="directory of the bundle")
    threads: int = Field(default=0, ge=0, le=256, description="processor threads; 0 takes what the cgroup grants")
    stored_picture_side: int = Field(default=512, ge=0, le=4096, description="pixels of pictures kept; 0 keeps none")
    max_queued_ms: int = Field(default=400, ge=1, description="milliseconds of waiting work from which calls get 503")
    upload_budget_mib: int = Field(default=256, ge=16, description="memory for bodies being received, in all")
    stop_seconds: int = Field(default=10, ge=1, description="how long a stop waits for accepted requests")
    log_level: LogLevel = Field(default=LogLevel.INFO, description="least severe log line that is written")
    docs: bool = Field(default=True, description="serve the interactive documentation at /docs")
    accept_loss: bool = Field(default=False, description="open an index of which rows are missing")
