// SPDX-License-Identifier: MIT
#include "RestBridgeSettings.h"

FName URestBridgeSettings::GetCategoryName() const
{
	return FName(TEXT("Plugins"));
}
