import { workflowInfo } from '@temporalio/workflow';

/**
 * Of workflows that may last for long: they move to the newest build, and their changes are patches. A worker without a version must not say
 * so: its server (1.29.1, seen) refuses whatever it answers.
 */
export function lasting(): { versioningBehavior?: 'AUTO_UPGRADE' } {
  return workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'AUTO_UPGRADE' } : {};
}
