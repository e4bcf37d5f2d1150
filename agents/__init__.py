"""Agents: encoder, decoder, the spiking agent, checkpoints and logs."""

from hebbit.agents.agent import SpikingAgent
from hebbit.agents.config import AgentConfig, configure
from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import HebbitError
from hebbit.agents.evaluation import evaluate

__all__ = ["AgentConfig", "EnvSpec", "HebbitError", "SpikingAgent", "configure", "evaluate"]
